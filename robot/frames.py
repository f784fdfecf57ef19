"""Frames as dora's nodes send them: a flat UInt8Array, and metadata that describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uhd_edge.robot.pixels.decoding import ENCODINGS, to_array
from uhd_edge.robot.pixels.raw_image import RawImage
from uhd_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

FILES = ("jpeg", "jpg", "jpe", "png", "webp", "bmp", "gif")


def read_frame(value: Any, metadata: Mapping[str, Any]) -> NDArray[np.generic] | bytes:
    """Return a frame as `Assistant.ask` takes it: an array, see `decoding.to_array`, or the bytes of an image file.

    `value` is a UInt8Array of pyarrow. `metadata` has `encoding`, and `width` and `height` for raw
    pixels. Raises `ImageError` for anything else.
    """
    encoding = str(metadata.get("encoding", "none")).lower()
    if encoding not in ENCODINGS and encoding not in FILES:
        raise ImageError(f"a frame has the encoding {encoding!r}; it must be one of {', '.join((*ENCODINGS, *FILES))}")
    if getattr(value, "null_count", 1) or str(getattr(value, "type", "")) != "uint8":
        raise ImageError(f"a frame is {getattr(value, 'type', type(value).__name__)}; it must be a UInt8Array")
    pixels: NDArray[np.uint8] = value.to_numpy(zero_copy_only=True)
    if encoding in FILES:
        return pixels.tobytes()
    height, width = (_side(metadata, name) for name in ("height", "width"))
    return to_array(RawImage(encoding, width, height, pixels))


def _side(metadata: Mapping[str, Any], name: str) -> int:
    side = metadata.get(name)
    if isinstance(side, bool) or not isinstance(side, int) or side < 1:
        raise ImageError(f"a frame's {name} is {side!r}; it must be a whole number of pixels")
    return side
