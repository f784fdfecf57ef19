"""The compressors as torch modules: each turns every `window` tokens in a row into one.

In a MoonViT, queries and keys turn here as in the layers, by their places within the window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from uhd_edge.export.attention import Attention, FeedForward
from uhd_edge.export.places import window_places
from uhd_edge.export.rotary import turning_angles
from uhd_edge.runtime.bundles.compressors import COMPRESSORS, CrossMerge, WindowMerge

if TYPE_CHECKING:
    from typing import Literal

    from uhd_edge.export.tower_config import TowerConfig


class WindowCompressor(nn.Module):
    """Attention within the window and a fused MLP, or one of the two, or the mean alone (`WindowMerge`).

    With both this is the compressor of LLaVA-UHD v4, section 3.2. The MLP reads the concatenated
    tokens, and their mean is added to its result.
    """

    angles: Tensor | None

    def __init__(self, config: TowerConfig, merge: WindowMerge) -> None:
        super().__init__()
        self.window, self.merge = config.window, merge
        fused = config.window * config.hidden
        if merge.attends:
            self.layer_norm1 = nn.LayerNorm(config.hidden, eps=config.epsilon)
            self.self_attn = Attention(config.hidden, config.heads)
            self.register_buffer("angles", _angles(config), persistent=False)
        if merge.mlp is not None:
            inner = config.window * config.intermediate if merge.mlp == "wide" else fused
            self.pre_norm = nn.LayerNorm(fused, eps=config.epsilon)
            self.linear_1 = nn.Linear(fused, inner)
            self.linear_2 = nn.Linear(inner, config.hidden)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[B, N, d] in block order -> [B, N / window, d]."""
        windows = _windows(hidden_states, self.window)
        if self.merge.attends:
            windows = windows + self.self_attn(self.layer_norm1(windows), angles=self.angles)
        merged: Tensor = windows.mean(dim=2)
        if self.merge.mlp is not None:
            approximate = "tanh" if self.merge.mlp == "wide" else "none"
            inner = functional.gelu(self.linear_1(self.pre_norm(windows.flatten(2))), approximate=approximate)
            merged = self.linear_2(inner) + merged
        return merged


class CrossCompressor(nn.Module):
    """An encoder layer in which one query of each window attends to the window's tokens (`CrossMerge`)."""

    angles: Tensor | None
    query_angles: Tensor | None

    def __init__(self, config: TowerConfig, merge: CrossMerge) -> None:
        super().__init__()
        self.window, self.merge = config.window, merge
        self.layer_norm1 = nn.LayerNorm(config.hidden, eps=config.epsilon)
        self.self_attn = Attention(config.hidden, config.heads)
        self.layer_norm2 = nn.LayerNorm(config.hidden, eps=config.epsilon)
        self.mlp = FeedForward(config.hidden, config.intermediate)
        self.register_buffer("angles", _angles(config), persistent=False)
        self.register_buffer("query_angles", _angles(config, merge.query), persistent=False)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[B, N, d] in block order -> [B, N / window, d]."""
        windows = _windows(hidden_states, self.window)
        normed = self.layer_norm1(windows)
        queries = self._one(normed).unsqueeze(2)
        attended = self.self_attn(normed, queries=queries, angles=self.angles, query_angles=self.query_angles)
        merged = self._one(windows) + attended.squeeze(2)
        output: Tensor = merged + self.mlp(self.layer_norm2(merged))
        return output

    def _one(self, windows: Tensor) -> Tensor:
        """[B, W, window, d] -> [B, W, d]."""
        return windows.mean(dim=2) if self.merge.query == "mean" else windows[:, :, 0]


def make_compressor(config: TowerConfig) -> WindowCompressor | CrossCompressor:
    """The compressor that `config` names, untrained."""
    merge = COMPRESSORS[config.compressor]
    if isinstance(merge, CrossMerge):
        return CrossCompressor(config, merge)
    return WindowCompressor(config, merge)


def _angles(config: TowerConfig, query: Literal["mean", "top-left"] | None = None) -> Tensor | None:
    """Angles [window, d / heads / 2] of the tokens of a window, or [1, ..] of its one query; None if nothing turns."""
    return turning_angles(torch.from_numpy(window_places(config.window, query)), config) if config.turns else None


def _windows(hidden_states: Tensor, window: int) -> Tensor:
    """[B, N, d] -> [B, N / window, window, d]."""
    batch, _, hidden = hidden_states.shape
    return hidden_states.reshape(batch, -1, window, hidden)
