"""Grey pictures with more than 8 bits, from cameras and instruments, become 8-bit grey.

Pillow cuts such values off at 255, so that a 16-bit picture comes out white. Here the values of
the picture decide:

- from 0 to 255: they stay as they are, as in an 8-bit picture.
- from 0 to 1, as floats or booleans: 0 becomes black and 1 white, as in most programs that compute with floats.
- anything else: the lowest value becomes black and the highest white.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from uhd_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Pillow's modes with more than 8 bits a pixel; all of them are grey.
WIDE_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})

_STRIP_VALUES = 2**20  # converted at a time: as a whole the floats would take eight pictures' memory


def wide_image_to_grey(image: Image.Image) -> Image.Image:
    """Convert an image in one of `WIDE_MODES` to mode L.

    A value that the file declares transparent becomes white. Raises `ImageError` when no
    value is a finite number.
    """
    values = np.asarray(image)
    grey = grey_levels(values)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def grey_levels(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Spread `values` [H, W], booleans, integers or real floats, over the levels 0 to 255.

    See the module for how. Values that are no finite number count as the lowest. Raises
    `ImageError` when none is finite.
    """
    lowest, highest = _range(values)
    grey = np.empty(values.shape, np.uint8)
    rows = max(1, _STRIP_VALUES // values.shape[1])
    for top in range(0, len(values), rows):
        strip = values[top : top + rows].astype(np.float64)
        level = np.nan_to_num((strip - lowest) * (255 / (highest - lowest)), nan=0.0, posinf=0.0, neginf=0.0)
        grey[top : top + rows] = np.rint(level)
    return grey


def _range(values: NDArray[np.generic]) -> tuple[float, float]:
    """Return the values that become black and white; never equal ones."""
    finite = values if values.dtype.kind != "f" else values[np.isfinite(values)]
    if finite.size == 0:
        raise ImageError("the picture holds no finite number; give one with numbers for grey levels")
    lowest, highest = float(finite.min()), float(finite.max())
    if lowest >= 0 and highest <= 1 and values.dtype.kind in "fb":
        return 0.0, 1.0
    if lowest >= 0 and highest <= 255:
        return 0.0, 255.0
    # One value all over has no range: black.
    return lowest, highest if highest > lowest else lowest + 1
