"""Colours of 16 bits in PNG and TIFF, of which Pillow keeps the high bytes.

Pillow has no mode for them. But it reads both orders of bytes, so that the wrong one gives the low
bytes: the file is decoded once more with it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFile

from uhd_edge.runtime.images.many_bits import Strip, boxes, spread_strips

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_LITTLE_HERE = sys.byteorder == "little"

# How Pillow unpacks the high bytes of colours -> how it unpacks the low ones. 16N is the machine's own order.
_LOW_BYTES = {
    **{f"{mode};16B": f"{mode};16L" for mode in ("RGB", "RGBA", "RGBX")},
    **{f"{mode};16L": f"{mode};16B" for mode in ("RGB", "RGBA", "RGBX")},
    **{f"{mode};16N": f"{mode};16{'B' if _LITTLE_HERE else 'L'}" for mode in ("RGB", "RGBA", "RGBX")},
    "LA;16B": "RGBA",  # grey high, grey low, alpha high, alpha low
}


def has_16_bit_colours(image: Image.Image) -> bool:
    """Whether the file of an opened image, not loaded yet, has colours, or grey and alpha, of 16 bits."""
    if not isinstance(image, ImageFile.ImageFile) or not image.tile:
        return False
    return all(_raw_mode(tile) in _LOW_BYTES for tile in image.tile)


def read_low_bytes(image: Image.Image) -> bool:
    """Let the image, opened anew, be loaded with its low bytes; True for grey and alpha.

    Those come as four channels: grey high and low, alpha high and low.
    """
    if not isinstance(image, ImageFile.ImageFile):
        raise TypeError(f"{type(image).__name__} was not opened from a file")
    is_grey = _raw_mode(image.tile[0]) == "LA;16B"
    image.tile = [_with_low_bytes(tile) for tile in image.tile]
    return is_grey


def to_8_bits(high: Image.Image, low: Image.Image, *, is_grey: bool) -> Image.Image:
    """Spread loaded colours over 8 bits, in mode RGB or RGBA; `low` is what `read_low_bytes` gave.

    What is transparent does not count for the range. Alpha keeps its high byte. `high` may be
    written over: with 100 megapixels, a third picture would take 400 MB more.
    """
    key = high.info.get("transparency") if high.mode == "RGB" else None
    has_alpha = high.mode == "RGBA"
    mode = "RGBA" if has_alpha or key is not None else "RGB"

    def strips() -> Iterator[Strip]:
        for top, box in boxes(high.size):
            upper, lower = np.asarray(high.crop(box)), np.asarray(low.crop(box))
            values = _joined(lower[..., 0], lower[..., 1]) if is_grey else _joined(upper[..., :3], lower[..., :3])
            if has_alpha:
                yield Strip(top, values, upper[..., 3] > 0)
            else:
                yield Strip(top, values, None if key is None else (values != np.array(key)).any(axis=2))

    result = high if high.mode == mode else Image.new(mode, high.size)
    for strip, levels in spread_strips(strips):
        rows = Image.fromarray(levels).convert("RGB")
        if has_alpha:
            rows.putalpha(high.crop((0, strip.top, high.width, strip.top + rows.height)).getchannel("A"))
        elif strip.seen is not None:
            rows.putalpha(Image.fromarray(strip.seen).convert("L"))
        result.paste(rows, (0, strip.top))
    return result


def _joined(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.uint16]:
    values = high.astype(np.uint16)
    values <<= 8
    values |= low
    return values


def _raw_mode(tile: Any) -> object:
    arguments = tile[3]
    return arguments[0] if isinstance(arguments, tuple) else arguments


def _with_low_bytes(tile: Any) -> Any:
    codec, extents, offset, arguments = tile
    low = _LOW_BYTES[str(_raw_mode(tile))]
    arguments = (low, *arguments[1:]) if isinstance(arguments, tuple) else low
    make = getattr(type(tile), "_make", tuple)  # a plain tuple before Pillow 11
    return make((codec, extents, offset, arguments))
