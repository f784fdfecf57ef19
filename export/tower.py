"""The vision tower and the connector as torch modules: what the ONNX graphs compute.

Every module takes a batch of views whose patches are laid out in *block order*
(see `uhd_edge.runtime.vision.patches`): tokens that will be merged stand next to each
other, so that each merge is a plain reshape. Self-attention does not depend on the
order of its tokens, as long as the position ids travel with them. The features therefore
equal those of transformers' `MiniCPMV4_6VisionModel`, which keeps the tokens in rows.

Parameters have the names of a `minicpmv4_6` checkpoint below `model.vision_tower.` and
`model.merger.`. So a checkpoint's tensors load without renaming, and a checkpoint can be
checked against the names and shapes here. `uhd_edge.export.graphs.onnx_tower` writes the
same steps as ONNX operators, without torch; this module is for training and for tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from uhd_edge.export.tower_config import TowerConfig


class Attention(nn.Module):
    """Multi-head self-attention over the second-to-last axis, without a mask."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(hidden, hidden)
        self.k_proj = nn.Linear(hidden, hidden)
        self.v_proj = nn.Linear(hidden, hidden)
        self.out_proj = nn.Linear(hidden, hidden)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[.., T, d] -> [.., T, d]."""
        queries, keys, values = (
            projection(hidden_states).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )  # each [.., heads, T, d/heads]
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        output: Tensor = self.out_proj(mixed.transpose(-3, -2).flatten(-2))
        return output


class FeedForward(nn.Module):
    """Linear, tanh-GELU, Linear."""

    def __init__(self, hidden: int, intermediate: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, intermediate)
        self.fc2 = nn.Linear(intermediate, hidden)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[.., d] -> [.., d]."""
        output: Tensor = self.fc2(functional.gelu(self.fc1(hidden_states), approximate="tanh"))
        return output


class EncoderLayer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.hidden, eps=config.epsilon)
        self.self_attn = Attention(config.hidden, config.heads)
        self.layer_norm2 = nn.LayerNorm(config.hidden, eps=config.epsilon)
        self.mlp = FeedForward(config.hidden, config.intermediate)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[B, T, d] -> [B, T, d]."""
        hidden_states = hidden_states + self.self_attn(self.layer_norm1(hidden_states))
        output: Tensor = hidden_states + self.mlp(self.layer_norm2(hidden_states))
        return output


class Compressor(nn.Module):
    """The in-ViT compressor (LLaVA-UHD v4, section 3.2): window attention, then a fused MLP.

    Every `window` tokens in a row become one. First comes attention within the window, with a
    residual. Then an MLP reads the concatenated tokens, and their mean is added to its result.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.window = config.window
        fused = config.window * config.hidden
        self.layer_norm1 = nn.LayerNorm(config.hidden, eps=config.epsilon)
        self.self_attn = Attention(config.hidden, config.heads)
        self.pre_norm = nn.LayerNorm(fused, eps=config.epsilon)
        self.linear_1 = nn.Linear(fused, config.window * config.intermediate)
        self.linear_2 = nn.Linear(config.window * config.intermediate, config.hidden)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[B, N, d] in block order -> [B, N / window, d]."""
        batch, _, hidden = hidden_states.shape
        windows = hidden_states.reshape(batch, -1, self.window, hidden)
        windows = windows + self.self_attn(self.layer_norm1(windows))
        fused = functional.gelu(self.linear_1(self.pre_norm(windows.flatten(2))), approximate="tanh")
        merged: Tensor = self.linear_2(fused) + windows.mean(dim=2)
        return merged


class Embeddings(nn.Module):
    """Linear patch embedding plus a learned position table."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        # A convolution whose stride is its kernel is a matrix product over flattened patches.
        self.patch_embedding = nn.Linear(config.patch_values, config.hidden)
        self.position_embedding = nn.Embedding(config.table_side**2, config.hidden)

    def forward(self, patches: Tensor, position_ids: Tensor) -> Tensor:
        """[B, N, 3*p*p] and [B, N] -> [B, N, d]."""
        embedded: Tensor = self.patch_embedding(patches) + self.position_embedding(position_ids)
        return embedded


class Layers(nn.Module):
    """The stack of encoder layers; a module of its own, because a checkpoint names it `encoder.layers`."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))


class VisionTower(nn.Module):
    """Patches to features, with the compressor (16x) or without it (4x).

    Both modes share one set of weights. `encode` with `compress=False` is the 4x mode.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        self.post_layernorm = nn.LayerNorm(config.hidden, eps=config.epsilon)
        self.vit_merger = Compressor(config)

    def encode(self, patches: Tensor, position_ids: Tensor, *, compress: bool) -> Tensor:
        """[B, N, 3*p*p] float and [B, N] int64 -> [B, N / window, d] or, uncompressed, [B, N, d]."""
        hidden_states = self.embeddings(patches, position_ids)
        for index, layer in enumerate(self.encoder.layers):
            hidden_states = layer(hidden_states)
            if compress and index == self.config.insert_layer:
                hidden_states = self.vit_merger(hidden_states)
        features: Tensor = self.post_layernorm(hidden_states)
        return features


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
