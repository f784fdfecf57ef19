"""How many pixels an image may have: read from its header, before anything is decoded."""

from __future__ import annotations

import warnings

import numpy as np
from support.images.files import encoded, message, picture

from uhd_edge.runtime.images.loading import load_image


def test_the_pixel_limit_is_read_from_the_header_before_anything_is_decoded() -> None:
    photo = encoded(picture(30, 20))
    header_only = photo[:41]  # up to the start of the pixels: decoding it would say "truncated"
    for image in (photo, header_only, picture(30, 20), np.asarray(picture(30, 20))):
        text = message(image, max_pixels=599)
        assert "30 x 20 pixels are over the limit of 599" in text
        assert text.endswith("pixels; scale it down")
    assert load_image(photo, max_pixels=600).size == (30, 20)


def test_the_default_limit_is_a_hundred_megapixels() -> None:
    assert "over the limit of 100000000 pixels" in message(bmp_header(10_001, 10_000))
    assert "truncated" in message(bmp_header(10_000, 10_000))


def test_pillows_own_bomb_guard_does_not_leak() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        text = message(bmp_header(20_000, 20_000))
        assert "limit of 100000000 pixels" in text
        assert text.endswith("pixels; scale it down")
        text = message(bmp_header(20_000, 20_000), max_pixels=10**9)
        assert "PIL.Image.MAX_IMAGE_PIXELS" in text
        assert "truncated" in message(bmp_header(9_500, 9_500))  # Pillow warns from 89 megapixels on
    assert seen == []


def bmp_header(width: int, height: int) -> bytes:
    """The header of a BMP of that size, and nothing after it."""
    small = bytearray(encoded(picture(8, 8), "BMP")[:54])
    small[18:22] = width.to_bytes(4, "little")
    small[22:26] = height.to_bytes(4, "little")
    return bytes(small)
