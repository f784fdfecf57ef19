"""Counts a JPEG's scans: a small file can ask for hours of decoding."""

from __future__ import annotations

import re
from typing import IO

from uhd_edge.runtime.errors import ImageError

# Encoders write 1 to 20. Every further scan costs as much time as the picture is large:
# a hundred of them keep a picture of 100 megapixels under ten seconds.
MOST_SCANS = 100
LOOKED_AT = 64 * 2**20  # bytes from the start; more than this is no small file

START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
# In the data of a scan 0xFF is followed by zero or by a restart marker, and may be repeated as padding.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def refuse_endless_scans(file: IO[bytes], name: str) -> None:
    """Raise `ImageError` for a JPEG with more scans than any encoder writes; the position in `file` stays.

    See "Two issues with the JPEG standard" of libjpeg-turbo, which has the same limit as an option.
    """
    position = file.tell()
    file.seek(0)
    data = file.read(LOOKED_AT)
    file.seek(position)
    few_at_most = data.count(bytes([0xFF, START_OF_SCAN])) <= MOST_SCANS  # quick, and also counts what only looks so
    if not few_at_most and count_scans(data) > MOST_SCANS:
        raise ImageError(f"{name}: a JPEG with over {MOST_SCANS} scans, which would take very long; save it again")


def count_scans(data: bytes) -> int:
    """Count the scans of the JPEG at the start of `data`, by its markers (ITU-T T.81, annex B)."""
    scans = 0
    at = 2  # behind the start of the image
    while (found := _NEXT_MARKER.search(data, at)) is not None:
        marker, at = data[found.end() - 1], found.end()
        if marker == END_OF_IMAGE:
            break
        scans += marker == START_OF_SCAN
        at += int.from_bytes(data[at : at + 2], "big")
    return scans
