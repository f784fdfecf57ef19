"""Images of a request: from data URIs to pictures, within limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.data_uri import decode_data_uri
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image


def decode_image(data_uri: str) -> bytes:
    """Return the bytes of an image file in a data URI; raises `ApiError` 400 for an invalid one."""
    try:
        return decode_data_uri(data_uri)
    except ImageError as error:
        raise _refused(str(error)) from error


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
