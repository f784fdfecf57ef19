"""A part of a picture, turned as the camera is mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.errors import ImageError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TURNS = (0, 90, 180, 270)


def check_region(region: Sequence[int]) -> tuple[int, int, int, int] | None:
    """Return x, y, width and height in pixels, or None for the whole picture.

    The whole picture is no numbers, or four zeros. Raises `OptionError` for anything else that is
    not x and y from 0 and width and height from 1.
    """
    if not any(region) and len(region) in (0, 4):
        return None
    if len(region) != 4 or min(region[:2]) < 0 or min(region[2:]) < 1:
        raise OptionError(f"the region is {list(region)}; give x, y, width and height in pixels, or four zeros")
    x, y, width, height = region
    return x, y, width, height


def cut_and_turn(
    picture: NDArray[np.generic], region: tuple[int, int, int, int] | None, turn: int
) -> NDArray[np.generic]:
    """Cut `region` out of a picture [H, W] or [H, W, 3], and then turn it clockwise by `turn` degrees.

    The part of a region that is outside of the picture is left out. Raises `ImageError` where
    nothing is left.
    """
    if region is not None:
        x, y, width, height = region
        whole = f"{picture.shape[1]} x {picture.shape[0]}"
        picture = picture[y : y + height, x : x + width]
        if 0 in picture.shape:
            raise ImageError(f"the region {list(region)} is outside of a picture of {whole} pixels; move it")
    return np.ascontiguousarray(np.rot90(picture, -turn // 90))
