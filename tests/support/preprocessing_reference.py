"""Runs transformers' preprocessing and ours on an image, with patches row by row, to compare them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import MiniCPMV4_6ImageProcessorPil

from uhd_edge.runtime.bundles.manifest import Preprocessing, Vision
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.vision.patches import make_patches
from uhd_edge.runtime.vision.slicing import plan_slices, slice_image

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

MODES: tuple[Mode, ...] = ("16x", "4x")


@dataclass(frozen=True)
class Prepared:
    """A prepared image: the grid, (rows, columns) of each view, and each view's patches [N, 3*p*p], row by row."""

    grid: tuple[int, ...]
    sizes: list[tuple[int, ...]]
    patches: list[NDArray[np.float32]]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Prepared)
            and (self.grid, self.sizes) == (other.grid, other.sizes)
            and all(left.dtype == right.dtype for left, right in zip(self.patches, other.patches, strict=True))
            and all(np.array_equal(left, right) for left, right in zip(self.patches, other.patches, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]


def preprocessing(**changes: Any) -> Preprocessing:
    """The preprocessing of the real checkpoint, with changes."""
    values: dict[str, Any] = {
        "scale_resolution": 448,
        "max_slices": 9,
        "patch_size": 14,
        "slicing": True,
        "rescale_factor": 1 / 255,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "resample": 3,
    }
    return Preprocessing(**(values | changes))


def vision(**changes: Any) -> Vision:
    """The sizes of the real vision tower, with changes."""
    values: dict[str, Any] = {
        "hidden_size": 1152,
        "layers": 27,
        "insert_layer": 6,
        "table_side": 70,
        "window": 2,
        "merge": 2,
        "merge_rounds": 1,
    }
    return Vision(**(values | changes))


def their_processor(values: Preprocessing) -> MiniCPMV4_6ImageProcessorPil:
    return MiniCPMV4_6ImageProcessorPil(
        image_mean=list(values.mean),
        image_std=list(values.std),
        rescale_factor=values.rescale_factor,
        resample=values.resample,
        scale_resolution=values.scale_resolution,
        patch_size=values.patch_size,
        slice_mode=values.slicing,
    )


def their_grid(image: Image.Image, values: Preprocessing, max_slices: int) -> tuple[int, ...]:
    """The grid that `MiniCPMV4_6ImageProcessorPil._preprocess` chooses with `max_slices`."""
    grid = their_processor(values).get_sliced_grid((image.height, image.width), max_slices, values.scale_resolution)
    return tuple(grid or (0, 0))


def theirs(image: Image.Image, values: Preprocessing, mode: Mode, max_slices: int) -> Prepared:
    """Run `MiniCPMV4_6ImageProcessorPil`, and split its strip of patches by view."""
    output = their_processor(values)(image, downsample_mode=mode, max_slice_nums=max_slices)
    sizes = [tuple(int(side) for side in size) for size in output["target_sizes"]]
    side = values.patch_size
    strip = np.asarray(output["pixel_values"][0])  # [3, p, N * p]: patch beside patch
    patches = strip.reshape(3, side, -1, side).transpose(2, 0, 1, 3).reshape(-1, 3 * side * side)
    ends = np.cumsum([rows * columns for rows, columns in sizes])
    return Prepared(tuple(output["grids"][0]), sizes, np.split(patches, ends[:-1]))


def ours(image: Image.Image, values: Preprocessing, mode: Mode, max_slices: int | None) -> Prepared:
    """Run the runtime's own steps, and put the patches back into rows."""
    sliced = slice_image(image, plan_slices(*image.size, values, mode=mode, max_slices=max_slices))
    sizes = [(view.rows, view.columns) for view in sliced.views]
    patches = [make_patches(view, values, vision(), mode=mode) for view in sliced.views]
    in_rows = [
        values_of_view[block_places(rows, columns, [2, 2] if mode == "16x" else [2])]
        for values_of_view, (rows, columns) in zip(patches, sizes, strict=True)
    ]
    return Prepared(sliced.grid, sizes, in_rows)


def block_places(rows: int, columns: int, sides: list[int]) -> NDArray[np.int64]:
    """For each patch of a grid, row by row, its place in block order, computed from the definition.

    The place of a patch is the number of its block times the block's area, plus its place inside
    the block.
    """
    if not sides:
        return np.arange(rows * columns)
    block = int(np.prod(sides))
    inside = block_places_inside(sides)
    row, column = np.divmod(np.arange(rows * columns), columns)
    number = row // block * (columns // block) + column // block
    return number * block**2 + inside[row % block, column % block]


def block_places_inside(sides: list[int]) -> NDArray[np.int64]:
    """Places [block, block] inside one block: its quarters row by row, and each quarter in the same way again."""
    outer, *inner = sides
    small = block_places_inside(inner) if inner else np.zeros((1, 1), np.int64)
    rows = [
        np.concatenate([(row * outer + column) * small.size + small for column in range(outer)], axis=1)
        for row in range(outer)
    ]
    return np.concatenate(rows, axis=0)
