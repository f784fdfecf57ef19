"""Initialises a tower so that its attention looks at neighbouring patches, as a convolution would.

The position table holds sines and cosines of eight frequencies for each axis, in 32 channels
that the patch embedding leaves free. The heads of the first layers rotate these and compare
them, so that each head first attends to one fixed neighbour.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from uhd_edge.export.attention import Attention
from uhd_edge.export.connectors import Connector
from uhd_edge.export.tower import EncoderLayer, VisionTower
from uhd_edge.export.tower_config import TowerConfig
from uhd_edge.tiny.world.views import PATCH, TABLE_SIDE

CONFIG = TowerConfig(
    hidden=192,
    intermediate=384,
    layers=6,
    heads=6,
    patch=PATCH,
    channels=3,
    table_side=TABLE_SIDE,
    insert_layer=1,
    window=4,
    merge=4,
    merge_rounds=1,
    llm_hidden=256,
)
FREQUENCIES = 8
STEP = 2.0  # rows of the position table per patch, in a square view
SHARPNESS = 2.2  # of the attention to the neighbour: the patch next to it gets a logit that is about 4 lower
# The neighbour (across, down) of each head, in patches: for the layers before the compressor, and after it.
NEIGHBOURS = (
    ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1)),
    ((-1, 0), (1, 0), (0, -1), (0, 1), (1, -1), (-1, 1)),
    ((-2, 0), (2, 0), (0, -2), (0, 2), (-1, 0), (1, 0)),
    ((-2, 0), (2, 0), (0, -2), (0, 2), (-4, 0), (4, 0)),
)


def new_tower(seed: int, config: TowerConfig = CONFIG) -> VisionTower:
    """An untrained tower whose first layers attend to neighbours."""
    torch.manual_seed(seed)
    tower = VisionTower(config)
    for module in tower.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            nn.init.zeros_(module.bias)
    layers = [layer for layer in tower.encoder.layers if isinstance(layer, EncoderLayer)]
    for layer in layers:
        for projection in (layer.self_attn.out_proj, layer.mlp.fc2):
            nn.init.normal_(projection.weight, std=0.4 * projection.in_features**-0.5)
    _start_positions(tower)
    for layer, neighbours in zip(layers, NEIGHBOURS, strict=False):
        _start_attention(layer.self_attn, neighbours)
    return tower


def new_connector(seed: int, config: TowerConfig = CONFIG) -> Connector:
    """An untrained connector."""
    torch.manual_seed(seed)
    return Connector(config)


def _frequencies() -> Tensor:
    """The eight frequencies [8], in radians per row of the position table."""
    return math.pi / 2 / STEP * 0.7 ** torch.arange(FREQUENCIES)


def _start_positions(tower: VisionTower) -> None:
    angles = torch.arange(TABLE_SIDE)[:, None] * _frequencies()  # [side, 8]
    code = torch.stack((angles.cos(), angles.sin()), dim=-1).flatten(1)  # [side, 16]
    down = code[:, None].expand(-1, TABLE_SIDE, -1)
    across = code[None, :].expand(TABLE_SIDE, -1, -1)
    table = torch.zeros(TABLE_SIDE, TABLE_SIDE, tower.config.hidden)
    table[..., : 4 * FREQUENCIES] = torch.cat((across, down), dim=-1)
    with torch.no_grad():
        tower.embeddings.position_embedding.weight.copy_(table.flatten(0, 1))
        tower.embeddings.patch_embedding.weight[: 4 * FREQUENCIES] = 0


def _start_attention(attention: Attention, neighbours: tuple[tuple[int, int], ...]) -> None:
    width = 4 * FREQUENCIES
    scale = math.sqrt(SHARPNESS * math.sqrt(width)) / 1.4
    for head, offset in enumerate(neighbours[: attention.heads]):
        rows = slice(head * width, (head + 1) * width)
        rotation = torch.block_diag(*(_rotation(f * STEP * step) for step in offset for f in _frequencies()))  # type: ignore[no-untyped-call]
        with torch.no_grad():
            attention.q_proj.weight[rows] *= 0.3
            attention.k_proj.weight[rows] *= 0.3
            attention.q_proj.weight[rows, :width] = scale * rotation
            attention.k_proj.weight[rows, :width] = scale * torch.eye(width)


def _rotation(angle: Tensor) -> Tensor:
    """The matrix [2, 2] that turns (cos a, sin a) into (cos(a + angle), sin(a + angle))."""
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack((torch.stack((cosine, -sine)), torch.stack((sine, cosine))))
