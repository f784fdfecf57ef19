"""Base64 as clients write it: in a data URI or bare, url-safe, without padding."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.data_uri import decode_data_uri, is_data_uri
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from uhd_edge.server.media.parts import MediaPart

# Shorter than any image, and longer than what a path or a name could be mistaken for.
LEAST_BASE64 = 48

# How base64 of PNG, JPEG, GIF and WebP begins; the last is a RIFF as sounds are.
BARE_PICTURE = re.compile(r"iVBORw0KGgo|[/_]9j[/_]|R0lGOD|UklGR.{6}XRUJQ")

_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]+={0,2}\s*")
_URL_SAFE = str.maketrans("-_", "+/")


def decode_media(data_uri: str, part: MediaPart) -> bytes:
    """Return the bytes of a file of `part` in a data URI; raises `ApiError` 400 for an invalid one."""
    try:
        return decode_data_uri(data_uri)
    except ImageError as error:
        raise ApiError(400, f"the {part.noun}: {error}", param="messages", code=part.code) from error


def bare_as_data_uri(text: Any) -> Any:
    """Write what begins as base64 does as a data URI, as it is; anything else is returned as it is."""
    is_base64 = isinstance(text, str) and len(text) >= LEAST_BASE64 and _BASE64.fullmatch(text[:LEAST_BASE64])
    return f"data:;base64,{text}" if is_base64 else text


def as_data_uri(url: str) -> str:
    """Write base64 in any of its forms as RFC 2397 has it; other URLs are returned as they are."""
    url = url.strip()
    if is_data_uri(url):
        head, comma, data = url.partition(",")
        if not comma or not head.rstrip().lower().endswith(";base64"):
            return url
    elif len(url) >= LEAST_BASE64 and _BASE64.fullmatch(url):
        head, data = "data:;base64", url
    else:
        return url
    if "%" in data:
        data = unquote(data)
    data = "".join(data.split()).translate(_URL_SAFE).rstrip("=")
    return f"{head.rstrip()},{data}{'=' * (-len(data) % 4)}"
