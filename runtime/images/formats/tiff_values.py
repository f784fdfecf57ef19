"""What a TIFF's values mean, where Pillow leaves that out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

_UNSIGNED = 1  # values of tags in TIFF 6.0
_WHITE_IS_ZERO = 0


def values_of(image: Image.Image, box: tuple[int, int, int, int]) -> NDArray[np.generic]:
    """Return the values [h, w] within a box of a loaded grey image with more than 8 bits.

    Pillow keeps unsigned values of 32 bits as signed ones, so that large ones come out negative.
    """
    values = np.asarray(image.crop(box))
    if not isinstance(image, TiffImageFile) or image.mode != "I":
        return values
    is_unsigned = image.tag_v2.get(SAMPLEFORMAT, (_UNSIGNED,))[0] == _UNSIGNED
    return values.view(np.uint32) if is_unsigned and image.tag_v2.get(BITSPERSAMPLE) == (32,) else values


def is_white_zero(image: Image.Image) -> bool:
    """Whether 0 stands for white, which Pillow knows in 8-bit files only."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO
