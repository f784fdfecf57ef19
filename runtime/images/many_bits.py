"""Pictures whose values have more than 8 bits, from cameras and instruments, become 8-bit ones.

Pillow cuts grey values off at 255, so that a 16-bit picture comes out white, and a depth map
in metres black. Here the type decides, never the values: what has 8 bits stays as it is, and of
integers with more bits and of floats the lowest value becomes black and the highest white. NaN is
black, as is what an array masks, and infinite values are black or white by their sign.

Two kinds have no range of their own. Floats [H, W, 3] are colours from 0 to 1, as matplotlib and
torchvision have them. A picture of one value all over shows that value between 0 and 65535 for
integers, and between 0 and 1 for floats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
from PIL import Image

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.formats.tiff_values import is_white_zero, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

# Pillow's modes with more than 8 bits a pixel; all of them are grey.
WIDE_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})

_STRIP_VALUES = 2**20  # converted at a time: as a whole the floats would take eight pictures' memory


@dataclass(frozen=True)
class Strip:
    """Rows of a picture from row `top` on: `values` [h, W] or [h, W, 3], and the pixels `seen` [h, W], all without."""

    top: int
    values: NDArray[np.generic]
    seen: NDArray[np.bool_] | None = None


# Reads a picture from the top, strip by strip; called once for the range and once for the levels.
Strips: TypeAlias = "Callable[[], Iterator[Strip]]"


def wide_image_to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image in one of `WIDE_MODES` to mode RGB.

    A value that the file declares transparent becomes white, and does not count for the range.
    Raises `ImageError` when no value is a finite number.
    """
    transparent = image.info.get("transparency")

    def strips() -> Iterator[Strip]:
        for top, box in boxes(image.size):
            values = values_of(image, box)
            yield Strip(top, values, values != transparent if isinstance(transparent, int) else None)

    inverted = is_white_zero(image)
    result = Image.new("RGB", image.size)
    for strip, grey in spread_strips(strips):
        levels = 255 - grey if inverted else grey
        if strip.seen is not None:
            levels[~strip.seen] = 255
        result.paste(Image.fromarray(levels), (0, strip.top))
    return result


def spread(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Spread `values` [H, W] or [H, W, 3], booleans, integers or real floats, over the levels 0 to 255.

    See the module for how; the three channels of colours have one range. Raises `ImageError` when
    no value is a finite number.
    """
    levels = np.empty(values.shape, np.uint8)
    for strip, spread_out in spread_strips(lambda: _strips_of(values)):
        levels[strip.top : strip.top + len(strip.values)] = spread_out
    return levels


def spread_strips(strips: Strips) -> Iterator[tuple[Strip, NDArray[np.uint8]]]:
    """Yield each strip with the levels that its values have in the range of the whole picture.

    Whoever takes a strip may write over its rows before the next. Raises as `spread` does.
    """
    black, white = _black_and_white(strips)
    table: NDArray[np.uint8] | None = None
    for strip in strips():
        values: NDArray[Any] = strip.values
        if values.dtype.kind == "u" and values.dtype.itemsize == 2 and not is_masked(values):
            table = _levels(np.arange(2**16), black, white) if table is None else table
            yield strip, table[values]
        else:
            yield strip, _levels(values, black, white)


def boxes(size: tuple[int, int]) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """Yield the first row of each strip of a picture of this size, and its box for Pillow."""
    width, height = size
    rows = max(1, _STRIP_VALUES // width)
    return ((top, (0, top, width, min(top + rows, height))) for top in range(0, height, rows))


def colours_from_0_to_1(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return floats [H, W, 3] as 8-bit colours, where 1 is 255; NaN is 0.

    Raises `ImageError` for floats that are no such colours.
    """
    lowest, highest = _range(lambda: _strips_of(values))
    if round(lowest * 255) < 0 or round(highest * 255) > 255:
        raise ImageError(
            f"the array is {values.dtype} {list(values.shape)} with values from {lowest:.4g} to {highest:.4g}; "
            "colours as floats go from 0 to 1: scale them, or give uint8 [H, W, 3], RGB from 0 to 255"
        )
    levels = np.empty(values.shape, np.uint8)
    for strip in _strips_of(values):
        levels[strip.top : strip.top + len(strip.values)] = _levels(strip.values, 0.0, 1.0)
    return levels


def is_masked(values: NDArray[np.generic]) -> TypeGuard[np.ma.MaskedArray[Any, Any]]:
    """Whether `values` is an array of numpy.ma, which is loaded for no other: it takes ten milliseconds."""
    return type(values) is not np.ndarray and isinstance(values, np.ma.MaskedArray)


def _levels(values: NDArray[np.generic], black: float, white: float) -> NDArray[np.uint8]:
    # The difference of two huge floats is none: their halves are taken.
    scale = 1.0 if math.isfinite(white - black) else 0.5
    floats = values.astype(np.float64)
    numbers = floats.filled(np.nan) if is_masked(floats) else floats
    place = (numbers * scale - black * scale) / (white * scale - black * scale)
    levels: NDArray[np.uint8] = np.rint(np.clip(np.nan_to_num(place, nan=0.0), 0, 1) * 255).astype(np.uint8)
    return levels


def _black_and_white(strips: Strips) -> tuple[float, float]:
    """Return the values that become black and white; never equal ones."""
    kind = next(strips()).values.dtype.kind
    if kind == "b":
        return 0.0, 1.0
    lowest, highest = _range(strips)
    if lowest < highest:
        return lowest, highest
    return 0.0, 1.0 if kind == "f" else 65535.0


def _range(strips: Strips) -> tuple[float, float]:
    """Return the lowest and the highest finite value of the pixels that count: all where none is seen."""
    some_are_seen, seen, everything = False, _Range(), _Range()
    for strip in strips():
        everything.add(strip.values)
        if strip.seen is None or strip.seen.any():
            some_are_seen = True
            seen.add(strip.values if strip.seen is None else strip.values[strip.seen])
    found = seen if some_are_seen else everything
    if found.lowest > found.highest:
        raise ImageError("the picture holds no finite number; give one with numbers for its levels")
    return found.lowest, found.highest


class _Range:
    """The lowest and the highest finite value of all arrays that were added."""

    def __init__(self) -> None:
        self.lowest, self.highest = math.inf, -math.inf

    def add(self, values: NDArray[np.generic]) -> None:
        present: NDArray[Any] = values.compressed() if is_masked(values) else values
        finite: NDArray[Any] = present[np.isfinite(present)] if present.dtype.kind == "f" else present
        if finite.size:
            self.lowest = min(self.lowest, float(finite.min()))
            self.highest = max(self.highest, float(finite.max()))


def _strips_of(values: NDArray[np.generic]) -> Iterator[Strip]:
    rows = max(1, _STRIP_VALUES // math.prod(values.shape[1:]))
    return (Strip(top, values[top : top + rows]) for top in range(0, len(values), rows))
