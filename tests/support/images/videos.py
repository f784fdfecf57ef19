"""Videos whose frames can be told apart: each has its own grey level."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable
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


def one_key_frame(frames: int, *, size: int = 64, seconds_apart: int = 5) -> bytes:
    """Return a Matroska file of one key frame and copies of one frame that depends on those before it."""
    codec: Any = av.CodecContext.create("mpeg4", "w")
    codec.width = codec.height = size
    codec.pix_fmt, codec.time_base, codec.framerate = "yuv420p", Fraction(1, 1), Fraction(1, 1)
    codec.gop_size, codec.max_b_frames = 600, 0
    coded = []
    for number in range(2):
        frame = av.VideoFrame.from_ndarray(np.zeros((size, size, 3), np.uint8), "rgb24").reformat(format="yuv420p")
        frame.pts = number
        coded += [bytes(packet) for packet in codec.encode(frame)]
    key, other = coded + [bytes(packet) for packet in codec.encode(None)]
    packets = chain([key], repeat(other, frames - 1))
    return _muxed("mpeg4", packets, size, seconds_apart=seconds_apart, extradata=codec.extradata)


def jpeg_frames(sizes: list[int]) -> bytes:
    """Return an AVI file of one JPEG of each size, whose head has the size of the first."""
    packets = {}
    for size in set(sizes):
        data = io.BytesIO()
        Image.new("RGB", (size, size), (200, 30, 30)).save(data, "JPEG", quality=10)
        packets[size] = data.getvalue()
    return _muxed("mjpeg", [packets[size] for size in sizes], sizes[0])


def _muxed(
    codec: str, packets: Iterable[bytes], size: int, *, seconds_apart: int = 1, extradata: bytes | None = None
) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="avi" if codec == "mjpeg" else "matroska") as container:
        stream: Any = container.add_stream(codec, rate=1)
        stream.width = stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.extradata = extradata
        container.start_encoding()
        for number, data in enumerate(packets):
            packet: Any = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 1)
            packet.pts = packet.dts = number * seconds_apart
            packet.duration = seconds_apart
            packet.is_keyframe = codec == "mjpeg" or number == 0
            container.mux(packet)
    return file.getvalue()
