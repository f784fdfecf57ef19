"""Pictures whose values have more than 8 bits, from cameras and instruments, become 8-bit ones.

Pillow cuts grey values off at 255, so that a 16-bit picture comes out white, and a depth map
in metres black. Here the type decides, never the values: what has 8 bits stays as it is, and of
integers with more bits and of floats the lowest value becomes black and the highest white. NaN is
black, and infinite values are black or white by their sign.

Two kinds have no range of their own. Floats [H, W, 3] are colours from 0 to 1, as matplotlib and
torchvision have them. A picture of one value all over shows that value between 0 and 65535 for
integers, and between 0 and 1 for floats.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.formats.tiff_values import values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Pillow's modes with more than 8 bits a pixel; all of them are grey.
WIDE_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})

_STRIP_VALUES = 2**20  # converted at a time: as a whole the floats would take eight pictures' memory


def wide_image_to_grey(image: Image.Image) -> Image.Image:
    """Convert an image in one of `WIDE_MODES` to mode L.

    A value that the file declares transparent becomes white, and does not count for the range.
    Raises `ImageError` when no value is a finite number.
    """
    values, is_white_zero = values_of(image)
    transparent = image.info.get("transparency")
    seen = values != transparent if isinstance(transparent, int) else None
    grey = spread(values, seen)
    grey = 255 - grey if is_white_zero else grey
    if seen is not None:
        grey[~seen] = 255
    return Image.fromarray(grey)


def spread(values: NDArray[np.generic], seen: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Spread `values` [H, W] or [H, W, 3], booleans, integers or real floats, over the levels 0 to 255.

    See the module for how; the three channels of colours have one range. `seen` [H, W] says whose
    values count for the range, all without it. Raises `ImageError` when no value is a finite number.
    """
    black, white = _black_and_white(values, seen)
    # The difference of two huge floats is none: their halves are taken.
    scale = 1.0 if math.isfinite(white - black) else 0.5
    levels = np.empty(values.shape, np.uint8)
    for strip in _strips(values):
        place = (values[strip].astype(np.float64) * scale - black * scale) / (white * scale - black * scale)
        levels[strip] = np.rint(np.clip(np.nan_to_num(place, nan=0.0), 0, 1) * 255)
    return levels


def colours_from_0_to_1(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return floats [H, W, 3] as 8-bit colours, where 1 is 255; NaN is 0.

    Raises `ImageError` for floats that are no such colours.
    """
    lowest, highest = _range(values, None)
    if round(lowest * 255) < 0 or round(highest * 255) > 255:
        raise ImageError(
            f"the array is {values.dtype} {list(values.shape)} with values from {lowest:.4g} to {highest:.4g}; "
            "colours as floats go from 0 to 1: scale them, or give uint8 [H, W, 3], RGB from 0 to 255"
        )
    levels = np.empty(values.shape, np.uint8)
    for strip in _strips(values):
        levels[strip] = np.rint(np.clip(np.nan_to_num(values[strip].astype(np.float64), nan=0.0), 0, 1) * 255)
    return levels


def _black_and_white(values: NDArray[np.generic], seen: NDArray[np.bool_] | None) -> tuple[float, float]:
    """Return the values that become black and white; never equal ones."""
    if values.dtype.kind == "b":
        return 0.0, 1.0
    lowest, highest = _range(values, seen)
    if lowest < highest:
        return lowest, highest
    return 0.0, 1.0 if values.dtype.kind == "f" else 65535.0


def _range(values: NDArray[np.generic], seen: NDArray[np.bool_] | None) -> tuple[float, float]:
    """Return the lowest and the highest finite value of the pixels that count."""
    if seen is not None and not seen.any():
        seen = None
    lowest, highest = math.inf, -math.inf
    for strip in _strips(values):
        counted = values[strip].astype(np.float64)
        counted = counted if seen is None else counted[seen[strip]]
        counted = counted[np.isfinite(counted)]
        if counted.size:
            lowest, highest = min(lowest, float(counted.min())), max(highest, float(counted.max()))
    if lowest > highest:
        raise ImageError("the picture holds no finite number; give one with numbers for its levels")
    return lowest, highest


def _strips(values: NDArray[np.generic]) -> Iterator[slice]:
    rows = max(1, _STRIP_VALUES // math.prod(values.shape[1:]))
    return (slice(top, top + rows) for top in range(0, len(values), rows))
