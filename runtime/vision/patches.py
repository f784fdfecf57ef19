"""A view becomes patches and position ids in *block order*.

Self-attention does not care about the order of its tokens as long as the position ids
travel with them. So the patches that will be merged into one token are laid next to each
other, and every 2x2 merge inside the graphs is a plain reshape. The connector's output is
then in row order again, because the outermost blocks are laid row by row.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.bundles.backbones import PLACES
from uhd_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from numpy.typing import ArrayLike, NDArray

    from uhd_edge.runtime.bundles.manifest import Coordinates, Preprocessing, Vision
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.vision.slicing import View

    Channels: TypeAlias = tuple[float, float, float]

UNCOMPRESSED = "uncompressed"  # the input of an encoder of both modes that chooses between them


def make_patches(
    view: View,
    preprocessing: Preprocessing,
    vision: Vision,
    *,
    mode: Mode,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Normalised patches float32 [N, 3*p*p] of a view in block order, N = rows * columns.

    The values of a patch run channel by channel, then row by row. They equal those of
    `MiniCPMV4_6ImageProcessorPil` bit for bit. They are written into `out` where it is
    given, a place in a batch, C-contiguous. The view's pixels are read once and
    written as float32 without an extra copy.
    Raises `ImageError` when the view's sides are no multiple of the mode's block.
    """
    side = preprocessing.patch_size
    grid = view.pixels.reshape(view.rows, side, view.columns, side, 3).transpose(0, 2, 4, 1, 3)
    levels = _in_block_order(grid, merge_sides(vision, mode=mode))
    patches = np.empty((view.rows * view.columns, 3 * side * side), np.float32) if out is None else out
    values = preprocessing.rescale_factor, preprocessing.mean, preprocessing.std
    normalise = _normalise_in_two_steps if _two_steps_are_exact(*values) else _normalise_as_the_reference
    normalise(levels, *values, out=patches.reshape(levels.shape))
    return patches


def position_ids(rows: int, columns: int, vision: Vision, *, mode: Mode) -> NDArray[np.int64]:
    """Return int64 [N], where each patch is, in the order of `make_patches`.

    Of SigLIP 2 these are indices into the position table. Row i of n falls into the table row of the
    same relative height, as in transformers' `get_vision_nearest_position_ids`, or in the
    `SiglipVisionEmbeddings` of LLaVA-UHD v4. Of MoonViT they are row * `PLACES` + column in the view's
    own grid. Raises `ImageError` for a view that has more rows or columns than MoonViT has places.
    """
    if vision.backbone == "moonvit":
        grid = _own_places(rows, columns)
    else:
        side, coordinates = vision.table_side, vision.coordinates
        grid = _buckets(rows, side, coordinates)[:, None] * side + _buckets(columns, side, coordinates)
    return _in_block_order(grid, merge_sides(vision, mode=mode)).reshape(-1)


def encoder_inputs(
    patches: NDArray[np.float32],
    positions: NDArray[np.int64],
    vision: Vision,
    *,
    mode: Mode,
    both_modes: bool,
) -> dict[str, NDArray[Any]]:
    """Name what the encoder takes: `patches` float32 [B, N, 3*p*p] and `position_ids` int64 [B, N].

    An encoder that serves `both_modes` takes `uncompressed` int64 [B, K] too. Only its shape
    matters: K is the number of windows that the compressor leaves out, 0 in 16x and all N / 4
    in 4x.
    """
    inputs: dict[str, NDArray[Any]] = {"patches": patches, "position_ids": positions}
    if both_modes:
        count = 0 if mode == "16x" else patches.shape[1] // vision.window**2
        inputs[UNCOMPRESSED] = np.zeros((len(patches), count), np.int64)
    return inputs


def tokens_per_view(rows: int, columns: int, vision: Vision, *, mode: Mode) -> int:
    """How many embeddings the connector makes of a view of `rows` x `columns` patches."""
    if vision.queries is not None:
        return vision.queries
    block = block_side(vision, mode=mode)
    return (rows // block) * (columns // block)


def merge_sides(vision: Vision, *, mode: Mode) -> tuple[int, ...]:
    """Sides of the squares that are merged, outermost first: the connector's rounds, then the compressor's window."""
    connector = (vision.merge,) * vision.merge_rounds
    return (*connector, vision.window) if mode == "16x" else connector


def block_side(vision: Vision, *, mode: Mode) -> int:
    """Side, in patches, of the square that becomes one embedding."""
    return math.prod(merge_sides(vision, mode=mode))


def _in_block_order(grid: NDArray[Any], sides: tuple[int, ...]) -> NDArray[Any]:
    """[rows, columns, ...] -> [rows / block, columns / block, s, s, .., s, s, ...], a view of the same memory."""
    rows, columns, *rest = grid.shape
    block = math.prod(sides)
    if rows % block or columns % block:
        raise ImageError(
            f"a view of {rows} x {columns} patches cannot be merged in squares of {block}: "
            "the bundle's image processor does not fit its vision tower; export the bundle again"
        )
    split = grid.reshape(rows // block, *sides, columns // block, *sides, *rest)
    levels = 1 + len(sides)
    pairs = [axis for level in range(levels) for axis in (level, levels + level)]
    return split.transpose(*pairs, *range(2 * levels, split.ndim))


def _normalise_as_the_reference(
    levels: NDArray[np.uint8], factor: float, mean: Channels, std: Channels, *, out: NDArray[np.float32]
) -> None:
    """Normalise [..., 3, p, p]: multiply in float64, round to float32, then subtract and divide in float32."""
    np.multiply(levels, factor, out=out, dtype=np.float64, casting="same_kind")
    out -= _by_channel(mean)
    out /= _by_channel(std)


def _normalise_in_two_steps(
    levels: NDArray[np.uint8], factor: float, mean: Channels, std: Channels, *, out: NDArray[np.float32]
) -> None:
    """Normalise [..., 3, p, p] in float32 throughout: fewer passes, and half the time."""
    np.divide(levels, _by_channel(np.divide(std, factor)), out=out)
    out -= _by_channel(np.divide(mean, std))


@lru_cache(maxsize=8)
def _two_steps_are_exact(factor: float, mean: Channels, std: Channels) -> bool:
    """Whether both ways give the same bits, which all 256 levels of every channel show.

    They do for the real checkpoint (1 / 255, 0.5, 0.5): its deviation is a power of two.
    """
    levels = np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(3, axis=1)
    expected, found = np.empty(levels.shape, np.float32), np.empty(levels.shape, np.float32)
    _normalise_as_the_reference(levels, factor, mean, std, out=expected)
    _normalise_in_two_steps(levels, factor, mean, std, out=found)
    return np.array_equal(expected, found)


def _by_channel(values: ArrayLike) -> NDArray[np.float32]:
    """One value per channel, to go with [..., 3, p, p]; a single one is quicker where all are the same."""
    channels = np.asarray(values, np.float32)
    return channels[0] if (channels == channels[0]).all() else channels[:, None, None]


def _own_places(rows: int, columns: int) -> NDArray[np.int64]:
    """Row and column of every patch as one number, int64 [rows, columns]."""
    if max(rows, columns) > PLACES:
        raise ImageError(
            f"a view of {rows} x {columns} patches is too thin for this model: it has places for {PLACES} rows and "
            f"{PLACES} columns; crop the image or pad it"
        )
    return np.arange(rows)[:, None] * PLACES + np.arange(columns)


def _buckets(length: int, table_side: int, coordinates: Coordinates) -> NDArray[np.int64]:
    """Table index int64 [length] of each of `length` patches along one side."""
    places = _places(length, coordinates)
    return np.searchsorted(_boundaries(table_side), places, side="right").astype(np.int64)


def _places(length: int, coordinates: Coordinates) -> NDArray[np.float32]:
    """Where each of `length` patches begins, from 0 to 1."""
    if coordinates == "quotients":
        return np.arange(length, dtype=np.float32) / np.float32(length)
    return _count_by_steps(0.0, float(np.float32(1) / np.float32(length)), length)


def _boundaries(table_side: int) -> NDArray[np.float32]:
    """Reproduce `torch.arange(1 / side, 1, 1 / side)` in float32, bit for bit.

    For table sides such as 27 a patch that lies exactly on a boundary falls by the last bits. Sides
    of 16, 32, 64 and 70 do not depend on them.
    """
    step = 1 / table_side
    return _count_by_steps(step, step, int(np.ceil((1.0 - step) / step)))


def _count_by_steps(start: float, step: float, count: int) -> NDArray[np.float32]:
    """Return `count` numbers as `torch.arange` counts them in float32, bit for bit.

    Torch rounds the start of every vector of eight to float32 and counts on from there in
    float64; what is left over after whole pairs of vectors it counts from the very start.
    """
    index = np.arange(count)
    lane = index % 8
    starts = (start + step * (index - lane)).astype(np.float32).astype(np.float64)
    in_vectors = index < len(index) // 16 * 16
    return np.where(in_vectors, starts + lane * step, start + step * index).astype(np.float32)
