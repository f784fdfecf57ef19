"""How a picture was held when it was taken: EXIF's orientation, in every format that carries it."""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING

from PIL import ExifTags, Image

if TYPE_CHECKING:
    from collections.abc import Iterator

_UPRIGHT = {  # EXIF orientation -> the turn that undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# JPEG 2000 keeps EXIF in a box with this name, by agreement of the programs that write it; Pillow skips it.
_EXIF_BOX = b"JpgTiffExif->JP2"
_MOST_BOXES = 1000
_MOST_EXIF_BYTES = 2**20


def upright(image: Image.Image, file: Image.Image) -> Image.Image:
    """Turn what was made of the loaded image `file` as its EXIF says; a PNG may keep that behind the pixels.

    A picture whose EXIF is damaged is still a picture, and stays as it is.
    """
    turn = _UPRIGHT.get(_orientation(file))
    return image if turn is None else image.transpose(turn)


def read_exif_of_jpeg2000(file: IO[bytes]) -> bytes:
    """Return the EXIF of a JP2 file, empty where there is none; the position in `file` stays."""
    position = file.tell()
    try:
        for kind, start, size in _boxes(file):
            file.seek(start)
            if kind == b"uuid" and file.read(len(_EXIF_BOX)) == _EXIF_BOX:
                return file.read(min(size - len(_EXIF_BOX), _MOST_EXIF_BYTES))
        return b""
    finally:
        file.seek(position)


def _boxes(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and length of the content of each outer box (ISO 15444-1, annex I)."""
    end = file.seek(0, 2)
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head[:8])
        begin = 8
        if length == 1 and len(head) == 16:  # too long for 32 bits
            (length,), begin = struct.unpack(">Q", head[8:]), 16
        length = end - at if length == 0 else length  # 0: up to the end of the file
        if length < begin:
            return
        yield kind, at + begin, length - begin
        at += length


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) to 8."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # its parser raises whatever it trips over
        return 1
    return value if isinstance(value, int) else 1
