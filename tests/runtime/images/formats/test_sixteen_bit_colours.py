"""PNG and TIFF with colours of 16 bits, written by FFmpeg; Pillow alone keeps their high bytes."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image
from support.images.files import message

from uhd_edge.runtime.images.loading import load_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAYOUTS = {"rgb48be": 3, "rgba64be": 4, "ya16be": 2, "rgb48le": 3, "rgba64le": 4}


def written(values: NDArray[np.uint16], codec: str, layout: str, **options: str) -> bytes:
    """The file with values [H, W, channels] that FFmpeg writes."""
    height, width = values.shape[:2]
    writer: Any = av.CodecContext.create(codec, "w")
    writer.width, writer.height, writer.pix_fmt, writer.options = width, height, layout, options
    frame = av.VideoFrame(width, height, layout)
    rows = np.frombuffer(frame.planes[0], np.uint8).reshape(height, frame.planes[0].line_size).copy()
    stored = values.astype(">u2" if layout.endswith("be") else "<u2")
    rows[:, : width * LAYOUTS[layout] * 2] = stored.view(np.uint8).reshape(height, -1)
    frame.planes[0].update(rows.tobytes())
    return b"".join(bytes(packet) for packet in [*writer.encode(frame), *writer.encode(None)])


def values_of_12_bits(channels: int) -> NDArray[np.uint16]:
    return np.random.default_rng(channels).integers(240, 4096, (30, 50, channels)).astype(np.uint16)


def spread(values: NDArray[np.uint16]) -> NDArray[np.float64]:
    lowest, highest = float(values.min()), float(values.max())
    result: NDArray[np.float64] = np.rint((values - lowest) * 255 / (highest - lowest))
    return result


@pytest.mark.parametrize(
    ("codec", "layout", "options"),
    [
        ("png", "rgb48be", {"pred": "none"}),
        ("png", "rgb48be", {"pred": "paeth"}),
        ("tiff", "rgb48le", {"compression_algo": "raw"}),
        ("tiff", "rgb48le", {"compression_algo": "lzw"}),
        ("tiff", "rgb48le", {"compression_algo": "deflate"}),
    ],
)
def test_colours_of_16_bits_are_spread_by_their_range(codec: str, layout: str, options: dict[str, str]) -> None:
    values = values_of_12_bits(3)
    photo = written(values, codec, layout, **options)
    assert np.asarray(Image.open(io.BytesIO(photo))).max() < 16  # Pillow alone: black
    assert np.array_equal(np.asarray(load_image(photo)), spread(values))


def test_a_file_on_the_disk_is_read_like_its_bytes(tmp_path: Any) -> None:
    values = values_of_12_bits(3)
    (tmp_path / "photo.png").write_bytes(written(values, "png", "rgb48be"))
    assert np.array_equal(np.asarray(load_image(tmp_path / "photo.png")), spread(values))


@pytest.mark.parametrize(("codec", "layout"), [("png", "rgba64be"), ("png", "ya16be"), ("tiff", "rgba64le")])
def test_what_is_transparent_is_white_and_does_not_count(codec: str, layout: str) -> None:
    values = values_of_12_bits(LAYOUTS[layout])
    values[..., -1] = 65535
    values[3, 4:9] = 0
    values[5, 6, :-1] = 60000
    values[5, 6, -1] = 200  # an alpha below one level
    colours = values[..., :-1].copy()
    hidden = values[..., -1] < 256
    colours[hidden] = colours[0, 0]
    expected = np.broadcast_to(spread(colours), (30, 50, 3)).copy()
    expected[hidden] = 255
    assert np.array_equal(np.asarray(load_image(written(values, codec, layout))), expected)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunk(photo: bytes, name: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk before its pixels."""
    at = photo.index(b"IDAT") - 4
    return photo[:at] + chunk(name, data) + photo[at:]


def test_the_transparent_colour_of_16_bits_is_compared_in_all_of_them() -> None:
    values = values_of_12_bits(3)
    values[2, 2], values[2, 3] = (700, 800, 900), (700, 800, 901)  # the same high bytes
    expected = spread(values)
    expected[2, 2] = 255
    photo = with_chunk(written(values, "png", "rgb48be"), b"tRNS", struct.pack(">3H", 700, 800, 900))
    assert np.array_equal(np.asarray(load_image(photo)), expected)


def test_exif_turns_them_too() -> None:
    values = values_of_12_bits(3)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = with_chunk(written(values, "png", "rgb48be"), b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    assert np.array_equal(np.asarray(load_image(photo)), np.rot90(spread(values), -1))


@pytest.mark.parametrize(("layout", "key"), [("rgb48be", False), ("rgb48be", True), ("rgba64be", False)])
def test_a_large_one_is_spread_strip_by_strip_by_the_range_of_all_of_it(layout: str, key: bool) -> None:
    values = np.zeros((1500, 1200, LAYOUTS[layout]), np.uint16)  # two strips
    values[..., :3] = np.arange(1500)[:, None, None] * 20 + 300
    values[0, 0, :3], values[-1, -1, :3] = 100, 51000
    colours, hidden = values[..., :3], np.zeros((1500, 1200), bool)
    hidden[700:1400, 30] = True
    if layout == "rgba64be":
        values[..., 3] = 65535
        values[hidden] = 0
    if key:
        values[hidden] = 60000
    shown = np.where(hidden[..., None], values[1, 1, :3], colours) if key or layout == "rgba64be" else colours
    expected = np.where(hidden[..., None] & (shown != colours), 255, spread(shown))
    photo = written(values, "png", layout)
    photo = with_chunk(photo, b"tRNS", struct.pack(">3H", *[60000] * 3)) if key else photo
    tracemalloc.start()
    found = load_image(photo)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(np.asarray(found), expected)
    assert peak < 40e6  # 32 MB for two strips of a million pixels, whatever the size: all as floats would be 43


def test_a_truncated_one_is_refused() -> None:
    assert "truncated, damaged" in message(written(values_of_12_bits(3), "png", "rgb48be")[:3000])


def test_an_opened_one_has_8_bits_as_its_mode_says() -> None:
    photo = written(values_of_12_bits(3), "png", "rgb48be")
    opened = Image.open(io.BytesIO(photo))
    assert np.array_equal(np.asarray(load_image(opened)), np.asarray(opened))
