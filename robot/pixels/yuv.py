"""YUV with halved colour becomes RGB, as ITU-R BT.601 defines it in video range.

Y goes from 16 (black) to 235 (white), U and V from 16 to 240 around 128. ROS's messages do not say
which matrix and range a camera used; cv_bridge's conversions (OpenCV's COLOR_YUV2RGB_UYVY and the
like) assume these too. Each U and V counts for the two or four pixels it was sent with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.robot.pixels.rows import cut_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from uhd_edge.robot.pixels.raw_image import RawImage

# Two pixels in four bytes: the places of both Y, of U and of V. ROS's `yuv422` is UYVY.
PACKED: Mapping[str, tuple[tuple[int, int], int, int]] = {
    "yuv422": ((1, 3), 0, 2),
    "uyvy": ((1, 3), 0, 2),
    "yuv422_yuy2": ((0, 2), 1, 3),
    "yuyv": ((0, 2), 1, 3),
}

# All Y, then pairs of U and V, each for 2 x 2 pixels: the place of U in a pair.
SEMI_PLANAR: Mapping[str, int] = {"nv12": 0, "nv21": 1}

RED_SHARE, BLUE_SHARE = 0.299, 0.114  # of luma, BT.601
GREEN_SHARE = 1 - RED_SHARE - BLUE_SHARE

_BITS = 16  # after the point, in the tables of whole numbers


def _table(values: NDArray[np.float64]) -> NDArray[np.int32]:
    table: NDArray[np.int32] = np.rint(values * 2**_BITS).astype(np.int32)
    return table


# For every byte, what it adds to a colour from 0 to 255. Luma below black is black, as in OpenCV.
_LUMA = _table(np.maximum(np.arange(256) - 16, 0) * 255 / 219)
_RED_BY_V = _table((np.arange(256) - 128) * 255 / 112 * (1 - RED_SHARE))
_BLUE_BY_U = _table((np.arange(256) - 128) * 255 / 112 * (1 - BLUE_SHARE))
_GREEN_BY_V = _table((np.arange(256) - 128) * 255 / 112 * (1 - RED_SHARE) * -RED_SHARE / GREEN_SHARE)
_GREEN_BY_U = _table((np.arange(256) - 128) * 255 / 112 * (1 - BLUE_SHARE) * -BLUE_SHARE / GREEN_SHARE)


def packed_to_rgb(rows: NDArray[np.uint8], places: tuple[tuple[int, int], int, int], width: int) -> NDArray[np.uint8]:
    """Convert rows [H, 4 * pairs] of two pixels in four bytes to uint8 [H, W, 3]."""
    pairs = rows.reshape(len(rows), -1, 4)
    luma, u, v = places
    y = pairs[:, :, list(luma)].reshape(len(rows), -1)
    return _to_rgb(y[:, :width], pairs[:, :, u], pairs[:, :, v], shared_rows=1)


def semi_planar_to_rgb(raw: RawImage, place: int) -> NDArray[np.uint8]:
    """Convert a plane of Y and a plane of U and V, whose rows have the same step, to uint8 [H, W, 3]."""
    columns, chroma_rows = (raw.width + 1) // 2, (raw.height + 1) // 2
    rows = cut_rows(raw, 2 * columns, raw.height + chroma_rows)
    pairs = rows[raw.height :].reshape(chroma_rows, columns, 2)
    return _to_rgb(rows[: raw.height, : raw.width], pairs[:, :, place], pairs[:, :, 1 - place], shared_rows=2)


def _to_rgb(y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8], *, shared_rows: int) -> NDArray[np.uint8]:
    """Convert y [H, W], and u and v for `shared_rows` rows and two columns each; what is outside of RGB is cut off."""
    height, width = y.shape
    luma = _LUMA[y] + 2 ** (_BITS - 1)  # so that the shift rounds
    rgb = np.empty((height, width, 3), np.uint8)
    for channel, colour in enumerate((_RED_BY_V[v], _GREEN_BY_U[u] + _GREEN_BY_V[v], _BLUE_BY_U[u])):
        wide = np.repeat(np.repeat(colour, 2, axis=1), shared_rows, axis=0)[:height, :width]
        rgb[:, :, channel] = np.clip((luma + wide) >> _BITS, 0, 255)
    return rgb
