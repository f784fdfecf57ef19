"""A picture's size as it is written on a command line: `448x448`, width before height."""

from __future__ import annotations

import re

from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.images.loading import DEFAULT_MAX_PIXELS

_SIZE = re.compile(r"([0-9]{1,9})[xX×]([0-9]{1,9})")  # noqa: RUF001  # some keyboards have the sign


def picture_size(text: str) -> tuple[int, int]:
    """Read (width, height) in pixels; raises `OptionError` for anything else, for none and for too many."""
    found = _SIZE.fullmatch(text.strip())
    width, height = (int(side) for side in found.groups()) if found else (0, 0)
    if width < 1 or height < 1:
        raise OptionError(f"{text!r} is no size of a picture; give width x height in pixels, such as 1344x1344")
    if width * height > DEFAULT_MAX_PIXELS:
        raise OptionError(f"{text}: more than the {DEFAULT_MAX_PIXELS} pixels that an image may have; make it smaller")
    return width, height


def picture_sizes(text: str) -> list[tuple[int, int]]:
    """Read sizes with commas between them, each once; raises `OptionError` as `picture_size` does."""
    return list(dict.fromkeys(picture_size(part) for part in text.split(",")))
