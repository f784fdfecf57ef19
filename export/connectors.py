"""The connectors as torch modules: features of the tower become embeddings for the language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from uhd_edge.export.attention import Attention
from uhd_edge.export.places import frequencies

if TYPE_CHECKING:
    from uhd_edge.export.tower_config import TowerConfig


class ConnectorRound(nn.Module):
    """Concatenate every `merge` tokens in a row, then LayerNorm, Linear, erf-GELU, Linear."""

    def __init__(self, hidden: int, merge: int, output: int) -> None:
        super().__init__()
        self.merge = merge
        merged = hidden * merge
        self.pre_norm = nn.LayerNorm(merged, eps=1e-6)
        self.linear_1 = nn.Linear(merged, merged)
        self.linear_2 = nn.Linear(merged, output)

    def forward(self, features: Tensor) -> Tensor:
        """[B, M, d] in block order -> [B, M / merge, output]."""
        batch, _, hidden = features.shape
        merged = features.reshape(batch, -1, self.merge * hidden)
        output: Tensor = self.linear_2(functional.gelu(self.linear_1(self.pre_norm(merged))))
        return output


class Connector(nn.Module):
    """Features to LLM embeddings, by one or several rounds of 2x2 merging."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        inner = [config.hidden] * (config.merge_rounds - 1)
        self.mlp = nn.ModuleList(
            ConnectorRound(config.hidden, config.merge, output) for output in [*inner, config.llm_hidden]
        )

    def forward(self, features: Tensor) -> Tensor:
        """[B, M, d] in block order -> [B, M / merge**rounds, d_llm], row by row."""
        embeddings = features
        for connector_round in self.mlp:
            embeddings = connector_round(embeddings)
        return embeddings


class Resampler(nn.Module):
    """Learned queries attend to all features of a view (LLaVA-UHD v4, section 2.2; MiniCPM-V's before 4.6).

    Keys know the place of their feature by sines and cosines of its row and column; values do not.
    The paper counts rows and columns of the features. Here they are those of the tower's position
    table, where the first patch of a feature lies, so that the connector needs no further input.
    """

    frequencies: Tensor

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        width = config.llm_hidden
        self.query = nn.Parameter(torch.randn(config.queries, width) * 0.02)
        self.kv_proj = nn.Linear(config.hidden, width)
        self.norm_query = nn.LayerNorm(width, eps=1e-6)
        self.norm_features = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, config.resampler_heads)
        self.norm_output = nn.LayerNorm(width, eps=1e-6)
        self.proj = nn.Linear(width, width)
        self.register_buffer("frequencies", torch.from_numpy(frequencies(width)), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """[B, M, d + 2], the last two the row and column of each place -> [B, queries, d_llm]."""
        content = self.norm_features(self.kv_proj(features[..., :-2]))
        rows, columns = (place[..., None] * self.frequencies for place in features[..., -2:].unbind(-1))
        keys = content + torch.cat((columns.sin(), columns.cos(), rows.sin(), rows.cos()), dim=-1)
        asked = self.norm_query(self.query).expand(features.shape[0], -1, -1)
        output: Tensor = self.proj(self.norm_output(self.attn(content, queries=asked, keys=keys)))
        return output


def make_connector(config: TowerConfig) -> Connector | Resampler:
    """The connector that `config` names, untrained."""
    return Resampler(config) if config.connector == "resampler" else Connector(config)
