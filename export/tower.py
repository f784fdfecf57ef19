"""The vision tower as torch modules: what the ONNX graphs compute. `connectors.py` has the connectors.

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

import torch
from torch import Tensor, nn

from uhd_edge.export.attention import Attention, FeedForward
from uhd_edge.export.compressors import make_compressor
from uhd_edge.export.places import table_places
from uhd_edge.export.rotary import merged_places, patch_places, stretched_table, turning_angles

if TYPE_CHECKING:
    from uhd_edge.export.tower_config import TowerConfig


class EncoderLayer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.hidden, eps=config.epsilon)
        self.self_attn = Attention(config.hidden, config.heads)
        self.layer_norm2 = nn.LayerNorm(config.hidden, eps=config.epsilon)
        self.mlp = FeedForward(config.hidden, config.intermediate)

    def forward(self, hidden_states: Tensor, angles: Tensor | None = None) -> Tensor:
        """[B, T, d] -> [B, T, d]; `angles` [B, T, d / heads / 2] are those by which queries and keys turn."""
        hidden_states = hidden_states + self.self_attn(self.layer_norm1(hidden_states), angles=angles)
        output: Tensor = hidden_states + self.mlp(self.layer_norm2(hidden_states))
        return output


class Embeddings(nn.Module):
    """Linear patch embedding plus a learned position table: its nearest entries, or stretched over the view's grid."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.stretches = config.turns
        # A convolution whose stride is its kernel is a matrix product over flattened patches.
        self.patch_embedding = nn.Linear(config.patch_values, config.hidden)
        self.position_embedding = nn.Embedding(config.table_side**2, config.hidden)

    def forward(self, patches: Tensor, position_ids: Tensor) -> Tensor:
        """[B, N, 3*p*p] and [B, N] -> [B, N, d]."""
        if self.stretches:
            positions = stretched_table(self.position_embedding.weight, position_ids)
        else:
            positions = self.position_embedding(position_ids)
        embedded: Tensor = self.patch_embedding(patches) + positions
        return embedded


class Layers(nn.Module):
    """The stack of encoder layers; a module of its own, because a checkpoint names it `encoder.layers`."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))


class VisionTower(nn.Module):
    """Patches to features, with the compressor (16x) or without it (4x).

    Both modes share one set of weights. `encode` with `compress=False` is the 4x mode. A tower whose
    `window` is 1 has no compressor, and compresses nothing.
    """

    places: Tensor

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        self.post_layernorm = nn.LayerNorm(config.hidden, eps=config.epsilon)
        if config.has_compressor:
            self.vit_merger = make_compressor(config)
        self.register_buffer("places", torch.from_numpy(table_places(config.table_side)), persistent=False)

    def encode(self, patches: Tensor, position_ids: Tensor, *, compress: bool) -> Tensor:
        """[B, N, 3*p*p] float and [B, N] int64 -> [B, N / window, d] or, uncompressed, [B, N, d].

        Before a resampler, the row and column of each feature's first patch follow its d numbers.
        """
        compress = compress and self.config.has_compressor
        hidden_states = self.embeddings(patches, position_ids)
        places = patch_places(position_ids) if self.config.turns else self.places[position_ids]
        angles = self._angles(places)
        for index, layer in enumerate(self.encoder.layers):
            hidden_states = layer(hidden_states, angles)
            if compress and index == self.config.insert_layer:
                hidden_states = self.vit_merger(hidden_states)
                angles = self._angles(merged_places(places, self.config.window))
        features: Tensor = self.post_layernorm(hidden_states)
        if self.config.connector == "resampler":
            first = places[:, :: self.config.window] if compress else places
            features = torch.cat((features, first), dim=-1)
        return features

    def _angles(self, places: Tensor) -> Tensor | None:
        """[B, T, 2] -> [B, T, d / heads / 2]; None where nothing turns."""
        return turning_angles(places, self.config) if self.config.turns else None
