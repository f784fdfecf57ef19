"""The positions of a MoonViT in torch: its table, stretched over each view's grid, and queries and keys that turn.

The same numbers as `Learnable2DInterpPosEmb` and `Rope2DPosEmb` of moonshotai/MoonViT-SO-400M give.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from uhd_edge.export.places import frequencies
from uhd_edge.runtime.bundles.backbones import PLACES

if TYPE_CHECKING:
    from uhd_edge.export.tower_config import TowerConfig


def patch_places(position_ids: Tensor) -> Tensor:
    """[B, N] -> [B, N, 2]: the row and the column of every patch, float32."""
    rows = position_ids.div(PLACES, rounding_mode="floor")
    return torch.stack((rows, position_ids - rows * PLACES), dim=-1).float()


def merged_places(places: Tensor, window: int) -> Tensor:
    """[B, N, 2] -> [B, N / window, 2]: rows and columns of the grid that is left when windows have become tokens.

    So it is in LLaVA-UHD v3 (thunlp/LLaVA-UHD), which merges tokens within a MoonViT.
    """
    return places[:, ::window] / math.isqrt(window)


def turning_angles(places: Tensor, config: TowerConfig) -> Tensor:
    """[.., T, 2] -> [.., T, head / 2]: the angle of each pair of numbers, columns and rows in turns."""
    speeds = torch.from_numpy(frequencies(config.head)).to(places.device)
    rows, columns = (place[..., None] * speeds for place in places.unbind(-1))
    return torch.stack((columns, rows), dim=-1).flatten(-2)


def turn(tokens: Tensor, angles: Tensor | None) -> Tensor:
    """Turn every pair of [.., heads, T, head] by `angles` [.., T, head / 2]; without angles nothing turns."""
    if angles is None:
        return tokens
    cosines, sines = angles.cos().unsqueeze(-3), angles.sin().unsqueeze(-3)
    first, second = tokens[..., 0::2], tokens[..., 1::2]
    return torch.stack((first * cosines - second * sines, first * sines + second * cosines), dim=-1).flatten(-2)


def stretched_table(table: Tensor, position_ids: Tensor) -> Tensor:
    """[S * S, d] and [B, N] -> [B, N, d]: the position table, stretched over the grid of each view, bicubically.

    A view's grid reaches to the last row and the last column among its `position_ids`.
    """
    side = math.isqrt(table.shape[0])
    square = table.T.reshape(1, -1, side, side)
    views = []
    for rows, columns in (places.long().unbind(-1) for places in patch_places(position_ids)):
        grid = int(rows.max()) + 1, int(columns.max()) + 1
        stretched = functional.interpolate(square, size=grid, mode="bicubic")[0].flatten(1)
        views.append(stretched.T[rows * grid[1] + columns])
    return torch.stack(views)
