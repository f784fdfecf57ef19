"""JPEGs without the marker at their end, as some webcams send them."""

from __future__ import annotations

import io

from PIL import Image, ImageChops

END_OF_IMAGE = b"\xff\xd9"

# Decoded in place of blocks that are missing, these show; after the last block they are skipped. One begins with a
# set bit and one with a clear one: whatever is missing, one of them is not what the decoder fills in. No byte is 0xFF.
_NOISE = bytes((i * 151 + i // 7 * 89 + 37) % 251 for i in range(2048))
_FILLERS = (b"\xb5" + _NOISE, b"\x6a" + _NOISE)


def decode_without_end(data: bytes) -> Image.Image | None:
    """Decode a JPEG that Pillow finds truncated; None when more than the end marker is missing.

    The JPEG is decoded with the end marker alone, and with other data before it. If every
    block was there, that data is not looked at, and the pictures are the same. The decoder
    itself does not say what it filled in.
    """
    kept = data.removesuffix(b"\xff")  # half of the marker may be there
    if b"\xff\xda" not in kept:  # no scan has begun
        return None
    image = _decoded(kept + END_OF_IMAGE)
    same = all(_shows_the_same(image, _decoded(kept + filler + END_OF_IMAGE)) for filler in _FILLERS)
    return image if same else None


def _shows_the_same(image: Image.Image | None, other: Image.Image | None) -> bool:
    if image is None or other is None:
        return False
    return ImageChops.difference(image, other).getbbox(alpha_only=False) is None


def _decoded(data: bytes) -> Image.Image | None:
    try:
        image = Image.open(io.BytesIO(data), formats=["JPEG"])
        image.load()
    except Exception:  # its parser raises whatever it trips over
        return None
    return image
