"""The pictures of a question, as a data set holds them: not decoded before they are asked about."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.data_uri import decode_data_uri, is_data_uri


@dataclass(frozen=True)
class Base64Picture:
    """The bytes of an image file as base64, or a data URI."""

    text: str


Picture: TypeAlias = "Path | bytes | Base64Picture"


def image_input(picture: Picture) -> Path | bytes:
    """Return what an assistant takes; raises `ImageError` for base64 that is broken."""
    if not isinstance(picture, Base64Picture):
        return picture
    if is_data_uri(picture.text):
        return decode_data_uri(picture.text)
    try:
        return base64.b64decode("".join(picture.text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"the picture's base64 is broken ({error})") from error
