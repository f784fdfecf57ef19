"""Grey pictures with more than 8 bits show what they hold, whatever the file or the type."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.images.files import encoded, message

from uhd_edge.runtime.images.grey import WIDE_MODES
from uhd_edge.runtime.images.loading import load_image

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def red(picture: bytes | Image.Image | NDArray[np.generic]) -> NDArray[np.uint8]:
    """One channel of the loaded picture, after a look that it is grey."""
    pixels = np.asarray(load_image(picture))
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "I;16"), ("TIFF", "I;16"), ("PPM", "I"), ("JPEG2000", "I;16")])
def test_a_16_bit_file_has_the_levels_of_the_8_bit_picture_it_was_made_of(kind: str, mode: str) -> None:
    photo = encoded(Image.fromarray(LEVELS.astype(np.uint16) * 257), kind)
    opened = Image.open(io.BytesIO(photo))
    assert opened.mode == mode
    assert np.asarray(opened.convert("RGB")).min() < 255  # what Pillow itself makes of it:
    assert (np.asarray(opened.convert("L")) == 255).mean() > 0.9  # white
    assert np.array_equal(red(photo), LEVELS)


@pytest.mark.parametrize("factor", [3, 40, 250])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64, np.int64])
def test_an_array_is_spread_from_its_lowest_to_its_highest_value(dtype: type, factor: int) -> None:
    values = LEVELS.astype(dtype) * factor + 700
    assert np.array_equal(red(values), LEVELS)
    assert np.array_equal(red(values[..., None]), LEVELS)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_values_that_fit_8_bits_stay_as_they_are(dtype: type) -> None:
    dim = LEVELS // 4
    assert np.array_equal(red(dim.astype(dtype)), dim)


def test_floats_from_0_to_1_and_booleans_go_from_black_to_white() -> None:
    dim = (LEVELS // 4).astype(np.float32)
    assert np.array_equal(red(dim / 255), LEVELS // 4)
    assert np.array_equal(red(Image.fromarray(dim / 255)), LEVELS // 4)
    assert np.array_equal(red(LEVELS > 100), np.where(LEVELS > 100, 255, 0))


def test_values_below_zero_count() -> None:
    assert np.array_equal(red(Image.fromarray(LEVELS.astype(np.int32) - 128)), LEVELS)


def test_what_is_no_number_is_black_and_does_not_count() -> None:
    values = LEVELS.astype(np.float32) * 9
    values[3, 4:7] = np.nan, np.inf, -np.inf
    expected = LEVELS.copy()
    expected[3, 4:7] = 0
    assert np.array_equal(red(values), expected)
    assert "no finite number" in message(np.full((3, 3), np.nan))


def test_a_picture_of_one_value_is_a_picture() -> None:
    assert (red(np.full((3, 3), 5000, np.uint16)) == 0).all()


def test_every_byte_order_of_16_bits_is_read() -> None:
    values = LEVELS.astype(np.uint16) * 257
    for mode, dtype in (("I;16", "<u2"), ("I;16B", ">u2")):
        image = Image.frombytes(mode, (16, 16), values.astype(dtype).tobytes())
        assert image.mode in WIDE_MODES
        assert np.array_equal(red(image), LEVELS)


def test_the_transparent_value_of_a_16_bit_file_becomes_white() -> None:
    photo = encoded(Image.fromarray(LEVELS.astype(np.uint16) * 257), "PNG", transparency=257 * 7)
    expected = LEVELS.copy()
    expected[LEVELS == 7] = 255
    assert np.array_equal(red(photo), expected)


def test_a_large_picture_is_spread_by_the_range_of_all_its_rows() -> None:
    values = np.zeros((3000, 700), np.uint16)  # several strips
    values[0, 0], values[-1, -1] = 100, 51000
    grey = red(values)
    assert grey[-1, -1] == 255
    assert grey[0, 0] == round(100 / 200)
