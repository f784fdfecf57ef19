"""Pictures with more than 8 bits show what they hold, whatever the file or the type."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from PIL import Image
from support.images.files import encoded, message

from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.images.many_bits import WIDE_MODES

# Entries of a TIFF's table: tag, type, number of values, value.
SIGNED, UNSIGNED = (struct.pack("<HHIHH", 339, 3, 1, value, 0) for value in (2, 1))
BLACK_IS_ZERO, WHITE_IS_ZERO = (struct.pack("<HHIHH", 262, 3, 1, value, 0) for value in (1, 0))

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


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.uint32, np.float16, np.float32, np.int64])
def test_the_type_decides_and_not_the_values(dtype: type) -> None:
    dim = LEVELS // 4
    assert np.array_equal(red(dim), dim)
    assert np.array_equal(red(dim.astype(dtype)), np.rint(dim * (255 / 63)))
    if dtype in (np.uint16, np.int32, np.float32):
        assert np.array_equal(red(Image.fromarray(dim.astype(dtype))), np.rint(dim * (255 / 63)))


def test_a_depth_map_in_metres_looks_as_matplotlib_shows_it() -> None:
    metres = np.random.default_rng(4).uniform(0.3, 4.8, (30, 40)).astype(np.float32)
    assert np.array_equal(red(metres), np.rint(Normalize()(metres).data * 255))
    near = metres / 10  # all below a metre
    assert np.array_equal(red(near), np.rint(Normalize()(near).data * 255))


def test_colours_as_floats_go_from_0_to_1_as_in_matplotlib() -> None:
    dim = np.random.default_rng(5).uniform(0.1, 0.6, (30, 40, 3)).astype(np.float32)
    shown = ScalarMappable().to_rgba(dim, bytes=True)[..., :3]
    loaded = np.asarray(load_image(dim)).astype(int)
    assert np.abs(loaded - shown).max() <= 1  # it cuts off, where we round
    assert np.array_equal(loaded, np.rint(dim * 255))


def test_colours_as_floats_of_another_range_are_refused_with_that_range() -> None:
    assert "with values from -2 to 2.5; colours as floats go from 0 to 1" in message(
        np.array([[[-2, 0.5, 2.5]]], np.float32)
    )
    assert np.asarray(load_image(np.array([[[1.0000001, -1e-9, np.nan]]]))).tolist() == [[[255, 0, 0]]]


def test_colours_of_16_bits_have_one_range_for_all_channels() -> None:
    values = np.random.default_rng(6).integers(240, 4096, (20, 30, 3), dtype=np.uint16)
    values[0, 0], values[0, 1] = (240, 1000, 1000), (1000, 4095, 1000)
    assert np.array_equal(np.asarray(load_image(values)), np.rint((values - 240.0) * 255 / (4095 - 240)))


def test_booleans_are_black_and_white() -> None:
    assert np.array_equal(red(LEVELS > 100), np.where(LEVELS > 100, 255, 0))
    assert (red(np.ones((3, 3), bool)) == 255).all()


def test_values_below_zero_count() -> None:
    assert np.array_equal(red(Image.fromarray(LEVELS.astype(np.int32) - 128)), LEVELS)


def test_what_is_not_finite_does_not_count_and_is_black_or_beyond_the_white() -> None:
    values = LEVELS.astype(np.float32) * 9
    values[3, 4:7] = np.nan, np.inf, -np.inf
    expected = LEVELS.copy()
    expected[3, 4:7] = 0, 255, 0
    assert np.array_equal(red(values), expected)
    assert "no finite number" in message(np.full((3, 3), np.nan))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_masked_values_do_not_count_and_are_black(dtype: type) -> None:
    values = np.ma.masked_array(LEVELS.astype(dtype), LEVELS == 250)
    values.data[values.mask] = 255 if dtype == np.uint8 else 60000  # no measurement
    assert np.array_equal(red(values), np.where(LEVELS == 250, 0, LEVELS))


def test_masked_colours_do_not_count_and_are_black() -> None:
    colours = np.ma.masked_greater(np.array([[[0.0, 0.2, 99], [0.4, 1.0, 0.6]]]), 1)
    expected = [[[0, 51, 0], [102, 255, 153]]]
    assert np.asarray(load_image(colours)).tolist() == expected
    assert np.asarray(load_image((colours * 255).astype(np.uint8))).tolist() == expected


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (np.uint16(0), 0),
        (np.uint16(65535), 255),
        (np.int32(5140), 20),
        (np.int32(-4), 0),
        (np.uint32(2**32 - 1), 255),
        (np.float32(0.4), 102),
        (np.float32(3.5), 255),
    ],
)
def test_a_picture_of_one_value_shows_that_value(value: np.generic, level: int) -> None:
    assert (red(np.full((3, 3), value)) == level).all()


@pytest.mark.parametrize("ends", [(-1.7e308, 1.7e308), (0, 5e-324), (2**62, 2**63 - 1024)])
def test_huge_and_tiny_ranges_are_ranges(ends: tuple[float, float]) -> None:
    assert red(np.array([ends])).tolist() == [[0, 255]]


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


def test_the_transparent_value_does_not_count_for_the_range() -> None:
    values = LEVELS.astype(np.uint16) * 10 + 500
    values[0, 0] = 65535  # "no data"
    expected = np.rint((np.minimum(values, 3050) - 510.0) * 255 / (3050 - 510))
    expected[0, 0] = 255
    assert np.array_equal(red(encoded(Image.fromarray(values), "PNG", transparency=65535)), expected)
    assert (red(encoded(Image.fromarray(values[:1, :1]), "PNG", transparency=65535)) == 255).all()


def test_unsigned_values_of_32_bits_in_a_tiff_do_not_wrap() -> None:
    values = np.array([[0, 2**31 - 1], [2**31, 2**32 - 1]], np.uint32)
    signed = encoded(Image.fromarray(values.view(np.int32)), "TIFF")
    assert signed.count(SIGNED) == 1
    assert red(signed.replace(SIGNED, UNSIGNED)).tolist() == [[0, 127], [128, 255]]
    assert red(signed).tolist() == [[128, 255], [0, 127]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_in_which_zero_is_white_is_inverted_as_one_of_8_bits_is(dtype: type) -> None:
    values = LEVELS.astype(dtype) * (1 if dtype == np.uint8 else 257)
    photo = bytearray(encoded(Image.fromarray(values), "TIFF"))
    assert photo.count(BLACK_IS_ZERO) == 1
    assert np.array_equal(red(bytes(photo).replace(BLACK_IS_ZERO, WHITE_IS_ZERO)), 255 - LEVELS)


def test_a_large_picture_is_spread_by_the_range_of_all_its_rows() -> None:
    values = np.zeros((3000, 700), np.uint16)  # several strips
    values[0, 0], values[-1, -1] = 100, 51000
    grey = red(values)
    assert grey[-1, -1] == 255
    assert grey[0, 0] == round(100 / 200)
