"""Images inside URLs: `data:[<type>][;base64],<data>`, as RFC 2397 has it."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from uhd_edge.runtime.errors import ImageError


def is_data_uri(url: str) -> bool:
    """Whether the URL contains the image itself."""
    return url[:5].lower() == "data:"


def decode_data_uri(data_uri: str) -> bytes:
    """Return the bytes of the image file in a data URI; raises `ImageError` for an invalid one."""
    head, comma, data = data_uri.partition(",")
    if not comma:
        raise ImageError("a data URI needs a comma before its data")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(data)
    try:
        base64_text = unquote_to_bytes(data) if "%" in data else data.encode("ascii")
        return base64.b64decode(b"".join(base64_text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"a data URI's base64 is broken ({error})") from error
