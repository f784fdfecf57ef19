"""Videos whose frames can be told apart: each has its own grey level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


LEVELS = 200  # the number of grey levels; the level of a frame gives its number


def make_video(
    file: Path,
    frames: int,
    *,
    rate: int = 10,
    size: tuple[int, int] = (64, 48),
    turned: float | None = None,
    codec: str = "mpeg4",
    options: dict[str, str] | None = None,
) -> Path:
    """Write a video. Each frame is a single grey, but darker in its upper left quarter."""
    with av.open(str(file), "w", options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        if turned is not None:
            stream.set_display_rotation(turned)
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), 50 + number % LEVELS, np.uint8)
            pixels[: size[1] // 2, : size[0] // 2] -= 40
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file


def make_sound(file: Path) -> Path:
    with av.open(str(file), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def write_video(file: Path, pictures: list[np.ndarray], *, rate: int = 10) -> None:
    """Write a video of pictures of one size."""
    with av.open(str(file), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 8_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
