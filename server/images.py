"""Images of a request: from data URIs to pictures, within limits."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image


def is_data_uri(url: str) -> bool:
    """Whether the URL contains the image itself."""
    return url[:5].lower() == "data:"


def decode_data_uri(data_uri: str) -> bytes:
    """Decode `data:[<type>][;base64],<data>` (RFC 2397); raises `ApiError` 400 for an invalid one."""
    head, comma, data = data_uri.partition(",")
    if not comma:
        raise _refused("a data URI needs a comma before its data")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(data)
    try:
        base64_text = unquote_to_bytes(data) if "%" in data else data.encode("ascii")
        return base64.b64decode(b"".join(base64_text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refused(f"an image's base64 is broken ({error})") from error


def load_images(images: Sequence[bytes], *, max_pixels: int) -> list[Image.Image]:
    """Decode image files to RGB; raises `ApiError` 400 for an invalid one, or over `max_pixels` in all.

    The number of pixels is read from the header, before anything is decoded.
    """
    pictures = []
    for image in images:
        try:
            pictures.append(load_image(image, max_pixels=max_pixels))
        except ImageError as error:
            raise _refused(str(error)) from error
        max_pixels -= pictures[-1].width * pictures[-1].height
    return pictures


def _refused(message: str) -> ApiError:
    return ApiError(400, message, param="messages", code="invalid_image")
