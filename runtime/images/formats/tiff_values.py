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


def values_of(image: Image.Image) -> tuple[NDArray[np.generic], bool]:
    """Return the values [H, W] of a grey image with more than 8 bits, and whether 0 stands for white.

    Pillow keeps unsigned values of 32 bits as signed ones, so that large ones come out negative, and
    knows white zeros in 8-bit files only.
    """
    values = np.asarray(image)
    if not isinstance(image, TiffImageFile):
        return values, False
    is_unsigned = image.tag_v2.get(SAMPLEFORMAT, (_UNSIGNED,))[0] == _UNSIGNED
    if image.mode == "I" and is_unsigned and image.tag_v2.get(BITSPERSAMPLE) == (32,):
        values = values.view(np.uint32)
    return values, image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO
