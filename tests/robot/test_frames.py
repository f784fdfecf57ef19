"""Frames of a dataflow become pictures, and what is no frame is an image error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from uhd_edge.robot.frames import read_frame
from uhd_edge.runtime.errors import ImageError

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'uhd-edge[dora]'")


def frame(pixels: np.ndarray) -> Any:
    return pyarrow.array(pixels.ravel())


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", lambda rgb: rgb),
        ("BGR8", lambda rgb: rgb[:, :, ::-1]),
        ("rgba8", lambda rgb: np.concatenate([rgb, rgb[:, :, :1]], 2)),
        ("bgra8", lambda rgb: np.concatenate([rgb[:, :, ::-1], rgb[:, :, :1]], 2)),
    ],
)
def test_raw_pixels_become_rgb_whatever_their_order(encoding: str, pixels: Any) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)
    seen = read_frame(frame(pixels(rgb)), {"width": 5, "height": 3, "encoding": encoding})
    assert np.array_equal(seen, rgb)


def test_grey_pixels_stay_grey() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    seen = read_frame(frame(grey), {"width": 3, "height": 2, "encoding": "mono8"})
    assert np.array_equal(seen, grey)


@pytest.mark.parametrize(
    ("value", "metadata", "said"),
    [
        (pyarrow.array([1, 2]), {"encoding": "png"}, "a frame is int64"),
        (pyarrow.array([1, None], pyarrow.uint8()), {"encoding": "png"}, "it must be a UInt8Array"),
        (None, {"encoding": "png"}, "a frame is NoneType"),
        (frame(np.zeros(3, np.uint8)), {}, "the encoding 'none'"),
        (frame(np.zeros(3, np.uint8)), {"encoding": "yuv9", "width": 1, "height": 1}, "the encoding 'yuv9'"),
        (frame(np.zeros(3, np.uint8)), {"encoding": "rgb8", "width": 1}, "height is None"),
        (frame(np.zeros(3, np.uint8)), {"encoding": "rgb8", "width": 1, "height": -1}, "height is -1"),
        (frame(np.zeros(3, np.uint8)), {"encoding": "rgb8", "width": True, "height": 1}, "width is True"),
        (frame(np.zeros(4, np.uint8)), {"encoding": "rgb8", "width": 1, "height": 1}, "4 bytes instead of 3"),
    ],
)
def test_what_is_no_frame_is_an_image_error(value: Any, metadata: dict[str, Any], said: str) -> None:
    with pytest.raises(ImageError, match=said):
        read_frame(value, metadata)
