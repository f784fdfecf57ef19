"""Frames as dora's nodes send them: a flat UInt8Array, and metadata that describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# For every raw encoding, the number of channels, and which of them are red, green and blue.
RAW: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
}
FILES = ("jpeg", "jpg", "jpe", "png", "webp", "bmp", "gif")


def read_frame(value: Any, metadata: Mapping[str, Any]) -> NDArray[np.uint8] | bytes:
    """Return a frame as `Assistant.ask` takes it: uint8 [H, W, 3] in RGB, or the bytes of an image file.

    `value` is a UInt8Array of pyarrow. `metadata` has `encoding`, and `width` and `height` for raw
    pixels. Raises `ImageError` for anything else.
    """
    encoding = str(metadata.get("encoding", "none")).lower()
    if encoding not in RAW and encoding not in FILES:
        raise ImageError(f"a frame has the encoding {encoding!r}; it must be one of {', '.join((*RAW, *FILES))}")
    if getattr(value, "null_count", 1) or str(getattr(value, "type", "")) != "uint8":
        raise ImageError(f"a frame is {getattr(value, 'type', type(value).__name__)}; it must be a UInt8Array")
    pixels: NDArray[np.uint8] = value.to_numpy(zero_copy_only=True)
    if encoding in FILES:
        return pixels.tobytes()
    channels, order = RAW[encoding]
    height, width = (_side(metadata, name) for name in ("height", "width"))
    if len(pixels) != height * width * channels:
        raise ImageError(
            f"a {encoding} frame of {width}x{height} has {len(pixels)} bytes instead of {height * width * channels}"
        )
    return np.ascontiguousarray(pixels.reshape(height, width, channels)[:, :, order])


def _side(metadata: Mapping[str, Any], name: str) -> int:
    side = metadata.get(name)
    if isinstance(side, bool) or not isinstance(side, int) or side < 1:
        raise ImageError(f"a frame's {name} is {side!r}; it must be a whole number of pixels")
    return side
