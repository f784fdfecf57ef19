"""The rows of a frame, without the gap that a camera's driver may leave after each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from uhd_edge.robot.pixels.raw_image import RawImage


def cut_rows(raw: RawImage, row_bytes: int, rows: int) -> NDArray[np.uint8]:
    """Return uint8 [rows, row_bytes]; the last row's gap may be missing.

    Raises `ImageError` for a step below `row_bytes`, and for bytes that are too few or too many.
    """
    step = raw.step or row_bytes
    if step < row_bytes:
        raise ImageError(f"{_told(raw)} has a step of {step} bytes; a row has {row_bytes}")
    data = np.frombuffer(raw.data, np.uint8)
    least, whole = step * (rows - 1) + row_bytes, step * rows
    if not least <= len(data) <= whole:
        raise ImageError(f"{_told(raw)} has {len(data)} bytes instead of {whole}")
    return np.lib.stride_tricks.as_strided(data, (rows, row_bytes), (step, 1), writeable=False)


def _told(raw: RawImage) -> str:
    return f"a {raw.encoding} frame of {raw.width}x{raw.height}"
