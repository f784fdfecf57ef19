"""Frames as cameras send them, made from pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from uhd_edge.robot.pixels.raw_image import RawImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

sides = st.tuples(st.integers(1, 9), st.integers(1, 9))


def pad_rows(rows: NDArray[np.uint8], gap: int) -> NDArray[np.uint8]:
    return np.pad(rows, ((0, 0), (0, gap)), constant_values=77)


def encode(rgb: NDArray[np.uint8], encoding: str, *, gap: int = 0, big: bool = False) -> RawImage:
    """Send uint8 [H, W, 3] in one of the encodings of whole colours."""
    order = encoding.rstrip("0123456789")
    values = np.stack([rgb[:, :, "rgb".index(name)] if name != "a" else rgb[:, :, 0] // 2 for name in order], 2)
    stored = values.astype(">u2" if big else "<u2") * 257 if encoding.endswith("16") else values
    rows = pad_rows(np.ascontiguousarray(stored).view(np.uint8).reshape(len(rgb), -1), gap)
    return RawImage(encoding, rgb.shape[1], rgb.shape[0], rows.tobytes(), rows.shape[1], big)


def mosaic(pattern: str, picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """What a sensor with this pattern sees of a picture, and what bilinear means make of that, in quarters.

    A convolution of each colour alone, with the other pixels zero, mirrored at the borders.
    """
    places = np.array(["rgb".index(name) for name in pattern]).reshape(2, 2)
    seen = np.tile(places, (len(picture) // 2, picture.shape[1] // 2))
    values = np.take_along_axis(picture, seen[:, :, None], 2)[:, :, 0]
    corners = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    beside = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]])
    filled = []
    for colour, kernel in enumerate((corners, beside, corners)):
        padded = np.pad(np.where(seen == colour, values, 0).astype(int), 1, mode="reflect")
        filled.append((np.lib.stride_tricks.sliding_window_view(padded, (3, 3)) * kernel).sum((2, 3)))
    return values, np.stack(filled, 2)
