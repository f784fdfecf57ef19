"""Parts that are files: an image or a video in one is taken as what it is, and any other file is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

from uhd_edge.server.errors import ApiError
from uhd_edge.server.media.data import BARE_PICTURE

if TYPE_CHECKING:
    from collections.abc import Mapping

# The types of parts that are files.
FILES: Final = ("file", "input_file")

_URI: Final = re.compile(r"\s*data:([^;,]*)[^,]{0,99},\s*", re.IGNORECASE)
# Types that say nothing of what is in a file.
_UNTOLD: Final = ("", "application/octet-stream", "binary/octet-stream")


def open_file(part: Mapping[str, Any], place: str) -> tuple[str, Literal["image", "video"]]:
    """Return the name of what holds the data in a part that is a file, and what they are of.

    The type in the data's URI decides, and without one how they begin. Raises `ApiError` 400 for anything else.
    """
    holder = "file" if "file" in part else "file_data"
    held = part[holder] if isinstance(part.get("file"), dict) else part
    data = held.get("file_data")
    kind, begin = "", 0
    if isinstance(data, str) and (found := _URI.match(data)):
        kind, begin = found[1].strip().lower(), found.end()
    if isinstance(data, str) and kind in _UNTOLD and BARE_PICTURE.match(data, begin):
        kind = "image/"
    if kind.startswith("image/"):
        return holder, "image"
    if kind.startswith("video/"):
        return holder, "video"
    others = (f"a {name}" for name in ("file_id", "file_url") if held.get(name) is not None)
    told = next(others, "none") if data is None else kind[:40] or "something else"
    message = f"{place}: a file must have an image or a video in file_data, and has {told}; send either, or text"
    raise ApiError(400, message, param=place, code="unsupported_part")
