"""Every encoding of ROS becomes the pixels that numpy and FFmpeg say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.robot.raw_frames import encode, pad_rows, sides

from uhd_edge.robot.pixels.decoding import ENCODINGS, to_array
from uhd_edge.robot.pixels.raw_image import RawImage
from uhd_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLOURS = ("rgb8", "bgr8", "rgba8", "bgra8", "rgb16", "bgr16", "rgba16", "bgra16")
GREYS = ("mono8", "8UC1", "mono16", "16UC1", "32FC1")


def noise(height: int, width: int, *channels: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, *channels), np.uint8)


@given(sides, st.sampled_from(COLOURS), st.integers(0, 9), st.booleans())
def test_colours_come_in_rgb_whatever_order_step_and_byte_order(
    size: tuple[int, int], encoding: str, gap: int, big: bool
) -> None:
    rgb = noise(*size, 3)
    sent = encode(rgb, encoding, gap=gap, big=big)
    assert np.array_equal(to_array(sent), rgb)


@given(sides, st.sampled_from(GREYS), st.integers(0, 9), st.booleans())
def test_grey_comes_as_it_is_in_the_order_of_this_machine(
    size: tuple[int, int], encoding: str, gap: int, big: bool
) -> None:
    dtype = {"mono8": np.uint8, "8UC1": np.uint8, "32FC1": np.float32}.get(encoding, np.uint16)
    grey = (noise(*size).astype(dtype) * 200 + 7).astype(dtype)
    stored = grey.astype(grey.dtype.newbyteorder(">" if big else "<"))
    rows = pad_rows(stored.view(np.uint8).reshape(size[0], -1), gap)
    seen = to_array(RawImage(encoding, size[1], size[0], rows.tobytes(), rows.shape[1], big))
    assert seen.dtype == dtype
    assert np.array_equal(seen, grey)


def studio_rgb(y: float, u: float, v: float) -> NDArray[np.float64]:
    """Solve the equations of BT.601 for one pixel: luma and colour differences, quantized as for 8 bits.

    Luma below black is black.
    """
    luma_of = np.array([0.299, 0.587, 0.114])
    equations = np.stack([luma_of, ([0, 0, 1] - luma_of) / (2 * 0.886), ([1, 0, 0] - luma_of) / (2 * 0.701)])
    return (
        np.linalg.solve(equations, [max(float(y) - 16, 0) / 219, (float(u) - 128) / 224, (float(v) - 128) / 224]) * 255
    )


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_yuv_is_that_of_bt_601_in_video_range(y: int, u: int, v: int) -> None:
    seen = to_array(RawImage("uyvy", 2, 1, bytes([u, y, v, y])))
    expected = np.clip(studio_rgb(y, u, v), 0, 255)
    assert np.abs(seen.astype(float) - expected).max() <= 0.501


@given(sides, st.integers(0, 9), st.sampled_from(["uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv12", "nv21"]))
def test_every_pixel_has_the_colour_that_was_sent_with_it(size: tuple[int, int], gap: int, encoding: str) -> None:
    height, width = size
    y = noise(height, width)
    shared = 2 if encoding.startswith("nv") else 1
    u, v = noise(-(-height // shared), -(-width // 2), 2).transpose(2, 0, 1)
    if shared == 2:
        even = np.pad(y, ((0, 0), (0, width % 2)))
        pairs = np.stack([u, v] if encoding == "nv12" else [v, u], 2).reshape(len(u), -1)
        rows = np.concatenate([even, pairs])
    else:
        even = np.pad(y, ((0, 0), (0, width % 2)))
        order = (
            [u, even[:, ::2], v, even[:, 1::2]]
            if encoding in ("uyvy", "yuv422")
            else [even[:, ::2], u, even[:, 1::2], v]
        )
        rows = np.stack(order, 2).reshape(height, -1)
    rows = pad_rows(rows, gap)
    seen = to_array(RawImage(encoding, width, height, rows.tobytes(), rows.shape[1]))
    for row, column in np.ndindex(height, width):
        at = (row // shared, column // 2)
        expected = np.clip(studio_rgb(y[row, column], u[at], v[at]), 0, 255)
        assert np.abs(seen[row, column].astype(float) - expected).max() <= 0.501


@pytest.mark.parametrize("encoding", ["uyvy", "yuyv", "nv12", "nv21"])
def test_yuv_is_what_ffmpeg_makes_of_it(encoding: str) -> None:
    """A smooth picture, because FFmpeg smoothes colour between pixels, and in fewer bits than needed."""
    rows, columns = np.mgrid[0:48, 0:64]
    smooth = np.stack([rows * 5, columns * 4, 255 - rows * 2 - columns], 2).astype(np.uint8)
    packed = encoding in ("uyvy", "yuyv")
    frame = av.VideoFrame.from_ndarray(smooth, format="rgb24").reformat(format="yuyv422" if packed else "nv12")
    sent = frame.to_ndarray().reshape(-1, 128 if packed else 64).copy()
    chroma = sent if encoding == "uyvy" else sent[48:]  # FFmpeg gives neither uyvy nor nv21 to numpy
    if encoding in ("uyvy", "nv21"):
        chroma[:] = chroma.reshape(len(chroma), -1, 2)[:, :, ::-1].reshape(chroma.shape)
    seen = to_array(RawImage(encoding, 64, 48, sent.tobytes())).astype(int)
    assert np.abs(seen - frame.to_ndarray(format="rgb24")).max() <= 5
    assert np.abs(seen - smooth).max() <= 5


@given(sides.filter(lambda size: min(size) > 1), st.sampled_from(["rggb", "bggr", "gbrg", "grbg"]), st.booleans())
def test_a_mosaic_keeps_what_each_pixel_saw_and_averages_its_neighbours(
    size: tuple[int, int], pattern: str, wide: bool
) -> None:
    height, width = size
    values = noise(height, width)
    sent = values.astype("<u2") * 257 if wide else values
    seen = to_array(RawImage(f"bayer_{pattern}{16 if wide else 8}", width, height, sent.tobytes()))
    colours = np.array([[pattern[(row % 2) * 2 + column % 2] for column in range(width)] for row in range(height)])
    mirrored, names = np.pad(values, 1, mode="reflect"), np.pad(colours, 1, mode="reflect")
    for row, column in np.ndindex(height, width):
        around = (slice(row, row + 3), slice(column, column + 3))
        for channel, name in enumerate("rgb"):
            near = mirrored[around][names[around] == name]
            own = colours[row, column] == name
            expected = values[row, column] if own else near.mean()
            assert abs(float(seen[row, column, channel]) - expected) <= 0.501


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_mosaic_is_what_ffmpeg_makes_of_it(pattern: str) -> None:
    """A smooth picture, because FFmpeg works in bands of a few rows and repeats pixels at their borders."""
    rows, columns = np.mgrid[0:48, 0:64]
    smooth = np.stack([20 + rows * 2, 200 - columns * 2, 100 + rows + columns], 2).astype(np.uint8)
    channel = np.array(["rgb".index(name) for name in pattern]).reshape(2, 2)[rows % 2, columns % 2]
    mosaic = np.take_along_axis(smooth, channel[:, :, None], 2)[:, :, 0]
    frame = av.VideoFrame(64, 48, f"bayer_{pattern}8")
    np.frombuffer(frame.planes[0], np.uint8).reshape(48, -1)[:, :64] = mosaic
    seen = to_array(RawImage(f"bayer_{pattern}8", 64, 48, mosaic.tobytes())).astype(int)
    assert np.abs(seen - smooth).max() <= 4
    assert np.abs(seen - frame.to_ndarray(format="rgb24")).max() <= 6


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (RawImage("", 1, 1, b"\0"), "the encoding ''; it must be one of rgb8, bgr8"),
        (RawImage("8UC3", 1, 1, bytes(3)), "the encoding '8UC3'"),
        (RawImage("rgb8", 0, 1, b""), "0 x 1 pixels"),
        (RawImage("rgb8", 2, 2, bytes(12), 5), "a step of 5 bytes; a row has 6"),
        (RawImage("rgb8", 2, 2, bytes(11)), "has 11 bytes instead of 12"),
        (RawImage("rgb8", 2, 2, bytes(17), 8), "has 17 bytes instead of 16"),
        (RawImage("rgb8", 2**32 - 1, 2**32 - 1, bytes(17), 2**32 - 1), "has a step of"),
        (RawImage("nv12", 2, 2, bytes(5)), "has 5 bytes instead of 6"),
        (RawImage("bayer_rggb8", 1, 4, bytes(4)), "at least 2 x 2"),
    ],
)
def test_what_is_no_frame_is_an_image_error(frame: RawImage, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        to_array(frame)


@given(
    st.sampled_from([*ENCODINGS, "bgr", "jpeg"]),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 40),
    st.binary(max_size=200),
)
def test_whatever_is_sent_becomes_a_picture_or_an_image_error(
    encoding: str, width: int, height: int, step: int, data: bytes
) -> None:
    try:
        picture = to_array(RawImage(encoding, width, height, data, step))
    except ImageError:
        return
    assert picture.shape[:2] == (height, width)


def test_the_gap_of_the_last_row_may_be_missing() -> None:
    rows = pad_rows(noise(3, 12), 4)
    seen = to_array(RawImage("rgb8", 4, 3, rows.tobytes()[:-4], 16))
    assert np.array_equal(seen, rows[:, :12].reshape(3, 4, 3))


def test_colours_of_16_bits_are_rounded_to_8() -> None:
    values = np.array([[[0, 128, 129], [257, 65535, 65406]]], "<u2")
    seen = to_array(RawImage("rgb16", 2, 1, values.tobytes()))
    assert seen.tolist() == np.rint(values / 257).astype(int).tolist()
