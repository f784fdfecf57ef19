"""A part of a picture is cut out first and turned then, as Pillow does it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from uhd_edge.robot.pixels.framing import TURNS, check_region, cut_and_turn
from uhd_edge.runtime.errors import ImageError, OptionError

PICTURE = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)


@given(st.integers(0, 8), st.integers(0, 6), st.integers(1, 20), st.integers(1, 20), st.sampled_from(TURNS))
def test_a_region_is_cut_and_turned_clockwise(x: int, y: int, width: int, height: int, turn: int) -> None:
    box = (x, y, min(9, x + width), min(7, y + height))
    expected = Image.fromarray(PICTURE).crop(box).rotate(-turn, expand=True)
    assert np.array_equal(cut_and_turn(PICTURE, (x, y, width, height), turn), np.asarray(expected))


def test_grey_pictures_are_turned_too() -> None:
    grey = PICTURE[:, :, 0]
    assert np.array_equal(
        cut_and_turn(grey, None, 90), np.asarray(Image.fromarray(grey).transpose(Image.Transpose.ROTATE_270))
    )


def test_a_region_outside_of_the_picture_is_an_image_error() -> None:
    with pytest.raises(ImageError, match=r"the region \[9, 0, 1, 1\] is outside of a picture of 9 x 7 pixels"):
        cut_and_turn(PICTURE, (9, 0, 1, 1), 0)


@pytest.mark.parametrize("region", [[], [0, 0, 0, 0]])
def test_no_numbers_and_zeros_are_the_whole_picture(region: list[int]) -> None:
    assert check_region(region) is None


@pytest.mark.parametrize("region", [[1], [0, 0, 1], [0, 0, 0, 1], [-1, 0, 2, 2], [1, 2, 3, 4, 5]])
def test_what_is_no_region_is_an_option_error(region: list[int]) -> None:
    with pytest.raises(OptionError, match="give x, y, width and height"):
        check_region(region)
