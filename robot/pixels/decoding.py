"""The bytes of one frame, with its encoding, become an array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.robot.pixels.bayer import PATTERNS, demosaic
from uhd_edge.robot.pixels.rows import cut_rows
from uhd_edge.robot.pixels.yuv import PACKED, SEMI_PLANAR, packed_to_rgb, semi_planar_to_rgb
from uhd_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from uhd_edge.robot.pixels.raw_image import RawImage

# For every encoding of whole pixels, the type of a value, and which of the channels are red, green and blue.
# One channel is grey.
CHANNELS: Mapping[str, tuple[str, int, tuple[int, ...]]] = {
    "rgb8": ("u1", 3, (0, 1, 2)),
    "bgr8": ("u1", 3, (2, 1, 0)),
    "rgba8": ("u1", 4, (0, 1, 2)),
    "bgra8": ("u1", 4, (2, 1, 0)),
    "rgb16": ("u2", 3, (0, 1, 2)),
    "bgr16": ("u2", 3, (2, 1, 0)),
    "rgba16": ("u2", 4, (0, 1, 2)),
    "bgra16": ("u2", 4, (2, 1, 0)),
    "mono8": ("u1", 1, (0,)),
    "8uc1": ("u1", 1, (0,)),
    "mono16": ("u2", 1, (0,)),
    "16uc1": ("u2", 1, (0,)),
    "32fc1": ("f4", 1, (0,)),
}
ENCODINGS: tuple[str, ...] = (
    *CHANNELS,
    *PACKED,
    *SEMI_PLANAR,
    *(f"bayer_{pattern}{bits}" for bits in (8, 16) for pattern in PATTERNS),
)


def to_array(raw: RawImage) -> NDArray[np.generic]:
    """Return the picture: uint8 [H, W, 3] in RGB, or grey [H, W] in uint8, uint16 or float32.

    The names are those of ROS's `sensor_msgs/image_encodings.hpp`, and `nv12`. Alpha is left out.
    Colours of 16 bits are scaled to 8. Grey of more than 8 bits stays as it is: the runtime spreads
    it over 8 (see `uhd_edge.runtime.images.many_bits`). YUV is BT.601 in video range, and bayer mosaics
    are filled in bilinearly: see `yuv.py` and `bayer.py`.

    Raises `ImageError` for another encoding, a side below 1, and bytes that are too few or too many.
    """
    encoding = raw.encoding.lower()
    if encoding not in ENCODINGS:
        raise ImageError(f"a frame has the encoding {raw.encoding!r}; it must be one of {', '.join(ENCODINGS)}")
    if raw.width < 1 or raw.height < 1:
        raise ImageError(f"a {encoding} frame is {raw.width} x {raw.height} pixels; there is nothing to see")
    if encoding in PACKED:
        return packed_to_rgb(cut_rows(raw, 4 * ((raw.width + 1) // 2), raw.height), PACKED[encoding], raw.width)
    if encoding in SEMI_PLANAR:
        return semi_planar_to_rgb(raw, SEMI_PLANAR[encoding])
    if encoding.startswith("bayer_"):
        return _from_mosaic(raw, encoding)
    dtype, channels, order = CHANNELS[encoding]
    values = _values(raw, dtype, channels)
    if channels == 1:
        return values[:, :, 0]
    return _to_8_bits(np.ascontiguousarray(values[:, :, order]))


def _from_mosaic(raw: RawImage, encoding: str) -> NDArray[np.uint8]:
    pattern = encoding.removeprefix("bayer_").rstrip("0123456789")
    dtype = "u2" if encoding.endswith("16") else "u1"
    return _to_8_bits(demosaic(_values(raw, dtype, 1)[:, :, 0], pattern))


def _values(raw: RawImage, dtype: str, channels: int) -> NDArray[np.generic]:
    """Return the values [H, W, channels] in the machine's own order of bytes."""
    stored = np.dtype(dtype).newbyteorder(">" if raw.is_bigendian else "<")
    rows = cut_rows(raw, raw.width * channels * stored.itemsize, raw.height)
    values = np.ascontiguousarray(rows).view(stored).reshape(raw.height, raw.width, channels)
    return values.astype(stored.newbyteorder("="), copy=False)


def _to_8_bits(colours: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale the whole range of 16 bits to that of 8 bits, where 257 is 1."""
    if colours.dtype == np.uint8:
        return colours.astype(np.uint8, copy=False)
    return ((colours.astype(np.uint32) + 128) // 257).astype(np.uint8)
