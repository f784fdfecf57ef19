"""The pictures that are measured: drawn in the sizes asked for, or a file."""

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
    """Draw coloured shapes, the same every time, as a JPEG: decoding it is a part of what is measured.

    Raises `OptionError` for a side that no JPEG can have.
    """
    if max(width, height) > LONGEST_SIDE:
        raise OptionError(
            f"{width}x{height}: pictures are drawn as JPEGs, whose sides are at most {LONGEST_SIDE} pixels; "
            "make it smaller, or give a file with --image"
        )
    file = io.BytesIO()
    shapes(width, height).save(file, "JPEG", quality=JPEG_QUALITY)
    return Picture(width, height, file.getvalue())


def read_picture(file: str) -> Picture:
    """Read an image file; raises `ImageError` when it is none."""
    width, height = load_image(file).size
    try:
        return Picture(width, height, Path(file).read_bytes())
    except OSError as error:
        raise ImageError(f"{file}: cannot be read ({error.strerror})") from error
