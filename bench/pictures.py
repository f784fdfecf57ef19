"""The pictures to measure with: drawn in the requested sizes, or read from a file."""

from __future__ import annotations

import io
from pathlib import Path

from uhd_edge.bench.configuration import Picture
from uhd_edge.runtime.errors import ImageError, OptionError
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.images.synthetic_pictures import shapes

JPEG_QUALITY = 90
LONGEST_SIDE = 65500  # libjpeg's limit


def drawn_picture(width: int, height: int) -> Picture:
    """Draw coloured shapes, the same every time, and save them as a JPEG.

    It is a JPEG because decoding is measured too. Raises `OptionError` if a side is too long for a
    JPEG.
    """
    if max(width, height) > LONGEST_SIDE:
        raise OptionError(
            f"{width}x{height}: pictures are drawn as JPEGs, whose sides are at most {LONGEST_SIDE} pixels; "
            "choose a smaller size, or name a file with --image"
        )
    file = io.BytesIO()
    shapes(width, height).save(file, "JPEG", quality=JPEG_QUALITY)
    return Picture(width, height, file.getvalue())


def read_picture(file: str) -> Picture:
    """Read an image file; raises `ImageError` if it cannot be read or is not an image."""
    width, height = load_image(file).size
    try:
        return Picture(width, height, Path(file).read_bytes())
    except OSError as error:
        raise ImageError(f"{file}: cannot be read ({error.strerror})") from error
