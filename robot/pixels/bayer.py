"""A bayer mosaic becomes RGB, bilinearly.

Each pixel of the sensor saw one colour. The other two are the means of the nearest pixels that saw
them: two beside, two above and below, or four of either kind. This is what OpenCV's
COLOR_BayerXX2RGB does, which cv_bridge uses. At the border, OpenCV repeats the picture inside of
it; here the missing neighbours are mirrored, so that all the border's own values count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# ROS names a mosaic by its first two rows: rggb is red, green, then green, blue.
PATTERNS = ("rggb", "bggr", "gbrg", "grbg")


def demosaic(mosaic: NDArray[np.generic], pattern: str) -> NDArray[np.generic]:
    """Fill in a mosaic [H, W] of uint8 or uint16 with one of `PATTERNS`; returns [H, W, 3] in the same type.

    Raises `ImageError` for one with a side below 2, which lacks colours.
    """
    height, width = mosaic.shape
    if min(height, width) < 2:
        raise ImageError(f"a bayer frame is {width} x {height} pixels; it must have at least 2 x 2")
    padded = np.pad(mosaic.astype(np.uint32), 1, mode="reflect")
    beside = padded[1:-1, :-2] + padded[1:-1, 2:]
    above = padded[:-2, 1:-1] + padded[2:, 1:-1]
    corners = padded[:-2, :-2] + padded[:-2, 2:] + padded[2:, :-2] + padded[2:, 2:]
    rgb = np.empty((height, width, 3), mosaic.dtype)
    for place, colour in enumerate(pattern):
        here = (slice(place // 2, None, 2), slice(place % 2, None, 2))
        if colour == "g":
            means = {
                "g": mosaic[here],
                pattern[place ^ 1]: (beside[here] + 1) // 2,
                pattern[place ^ 2]: (above[here] + 1) // 2,
            }
        else:
            means = {
                colour: mosaic[here],
                "g": (beside[here] + above[here] + 2) // 4,
                pattern[place ^ 3]: (corners[here] + 2) // 4,
            }
        for channel, name in enumerate("rgb"):
            rgb[(*here, channel)] = means[name]
    return rgb
