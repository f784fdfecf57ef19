"""Views of a picture: which part of the picture each shows, and its patches in block order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import MiniCPMV4_6ImageProcessorPil

PATCH = 14
TABLE_SIDE = 32  # rows and columns of the tower's position table
VIEW_SIDE = 224  # pixels, of a square view
PROCESSOR = MiniCPMV4_6ImageProcessorPil()


@dataclass(frozen=True)
class View:
    """A rectangle of the picture, in pixels, that is shown on `rows` x `columns` patches."""

    rows: int
    columns: int
    left: float
    top: float
    width: float
    height: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Convert (x, y) from pixels of the picture to pixels of the view."""
        across = (x - self.left) * self.columns * PATCH / self.width
        down = (y - self.top) * self.rows * PATCH / self.height
        return across, down


def plan_views(
    width: int, height: int, *, compress: bool, max_slices: int = 9, side: int = VIEW_SIDE
) -> tuple[list[View], tuple[int, int]]:
    """The views of a picture of `width` x `height` pixels, thumbnail first, and the grid (rows, columns) of slices.

    A view has about `side` x `side` pixels.

    The sizes are those of transformers' `MiniCPMV4_6ImageProcessorPil`. Without slices the grid is (0, 0).
    """
    mode = "16x" if compress else "4x"
    size = (height, width)
    grid = PROCESSOR.get_sliced_grid(size, max_slices, side)
    tall, wide = PROCESSOR.find_best_resize(size, side, PATCH, mode, allow_upscale=grid is None)
    views = [View(tall // PATCH, wide // PATCH, 0, 0, width, height)]
    if grid is None:
        return views, (0, 0)
    down, across = grid
    tall, wide = PROCESSOR.get_refine_size(size, grid, side, PATCH, mode, allow_upscale=True)
    rows, columns = tall // down // PATCH, wide // across // PATCH
    step_down, step_across = height / down, width / across
    for row in range(down):
        for column in range(across):
            views.append(View(rows, columns, column * step_across, row * step_down, step_across, step_down))
    return views, (down, across)


def cut_views(picture: Image.Image, views: list[View], grid: tuple[int, int]) -> list[np.ndarray]:
    """The pixels of every view, uint8 [rows * 14, columns * 14, 3], resized as the processor resizes."""
    pixels = [_resized(picture, views[0].rows * PATCH, views[0].columns * PATCH)]
    if len(views) > 1:
        tall, wide = views[1].rows * PATCH, views[1].columns * PATCH
        whole = _resized(picture, tall * grid[0], wide * grid[1])
        for row in range(grid[0]):
            for column in range(grid[1]):
                pixels.append(whole[row * tall : (row + 1) * tall, column * wide : (column + 1) * wide])
    return pixels


def _resized(picture: Image.Image, height: int, width: int) -> np.ndarray:
    if picture.size == (width, height):
        return np.asarray(picture)
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def block_order(grid: Tensor, block: int = 4) -> Tensor:
    """[B, rows, columns, ..] -> [B, N, ..] in block order: one block after the other, row by row.

    With `block` 4 (16x), a block has four 2x2 windows, one after the other, and a window its four
    patches. With `block` 2 (4x), a block has four patches.
    """
    batch, rows, columns, *rest = grid.shape
    if block == 2:
        split = grid.reshape(batch, rows // 2, 2, columns // 2, 2, *rest)
        return split.transpose(2, 3).reshape(batch, rows * columns, *rest)
    split = grid.reshape(batch, rows // 4, 2, 2, columns // 4, 2, 2, *rest)
    ordered = split.permute(0, 1, 4, 2, 5, 3, 6, *range(7, split.ndim))
    return ordered.reshape(batch, rows * columns, *rest)


def cut_patches(pixels: Tensor, block: int = 4) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, N, 3*14*14] in -1..1: patches in block order, values channel by channel."""
    batch, height, width, _ = pixels.shape
    rows, columns = height // PATCH, width // PATCH
    split = pixels.reshape(batch, rows, PATCH, columns, PATCH, 3)
    grid = split.permute(0, 1, 3, 5, 2, 4).reshape(batch, rows, columns, 3 * PATCH * PATCH)
    return block_order(grid, block).float() / 127.5 - 1.0


def compute_position_ids(rows: int, columns: int, block: int = 4) -> Tensor:
    """int64 [N]: the index into the position table for each patch, in block order."""
    down = torch.arange(rows) * TABLE_SIDE // rows
    across = torch.arange(columns) * TABLE_SIDE // columns
    grid = down[:, None] * TABLE_SIDE + across[None, :]
    return block_order(grid[None], block)[0]
