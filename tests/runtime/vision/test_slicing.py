"""Slicing: sizes and grids that can be worked out by hand, and the ways it refuses."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.preprocessing_reference import MODES, preprocessing

from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.vision.slicing import plan_slices, slice_image


def test_a_small_image_is_one_view_of_about_the_scale_resolution() -> None:
    plan = plan_slices(200, 200, preprocessing(), mode="16x")
    assert plan.thumbnail == (448, 448)
    assert plan.views == ((32, 32),)
    assert plan.grid == (0, 0)


def test_a_wide_image_has_more_columns_than_rows() -> None:
    assert plan_slices(1084, 820, preprocessing(), mode="16x").grid == (2, 3)
    assert plan_slices(820, 1084, preprocessing(), mode="16x").grid == (3, 2)
    assert plan_slices(1920, 300, preprocessing(), mode="16x").grid == (1, 4)


def test_slices_are_windows_of_one_picture_row_by_row() -> None:
    rows, columns = np.mgrid[0:820, 0:1084]
    image = Image.fromarray(np.stack([rows // 4, columns // 5, rows * 0], axis=2).astype(np.uint8))
    plan = plan_slices(1084, 820, preprocessing(), mode="16x")
    sliced = slice_image(image, plan)
    assert sliced.grid == (2, 3)
    height, width = plan.refined
    whole = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    bands = [np.concatenate([view.pixels for view in sliced.slices[start : start + 3]], axis=1) for start in (0, 3)]
    assert np.array_equal(np.concatenate(bands, axis=0), whole)
    assert all(view.pixels.base is sliced.slices[0].pixels.base for view in sliced.slices)


def test_thumbnail_and_slices_are_made_at_once_and_no_thread_stays_behind() -> None:
    image = Image.effect_noise((1400, 1100), 80).convert("RGB")
    before = threading.active_count()
    sliced = slice_image(image, plan_slices(1400, 1100, preprocessing(), mode="16x"))
    assert threading.active_count() == before
    height, width, _ = sliced.thumbnail.pixels.shape
    thumbnail = image.resize((width, height), Image.Resampling.BICUBIC)
    assert np.array_equal(sliced.thumbnail.pixels, np.asarray(thumbnail))


def test_an_image_file_that_is_open_but_not_yet_read_can_be_sliced() -> None:
    image = Image.effect_noise((1400, 1100), 80).convert("RGB")
    file = io.BytesIO()
    image.save(file, "PNG")
    for _ in range(5):
        with Image.open(io.BytesIO(file.getvalue())) as unread:
            sliced = slice_image(unread, plan_slices(1400, 1100, preprocessing(), mode="16x"))
        expected = slice_image(image, plan_slices(1400, 1100, preprocessing(), mode="16x"))
        assert all(
            np.array_equal(view.pixels, other.pixels) for view, other in zip(sliced.views, expected.views, strict=True)
        )


def test_a_picture_that_has_the_size_of_its_slices_is_cut_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (896, 896, 3), dtype=np.uint8)
    sliced = slice_image(Image.fromarray(pixels), plan_slices(896, 896, preprocessing(), mode="16x"))
    assert sliced.grid == (2, 2)
    assert np.array_equal(sliced.slices[1].pixels, pixels[:448, 448:])


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 900),
    height=st.integers(1, 900),
    mode=st.sampled_from(MODES),
    max_slices=st.one_of(st.none(), st.integers(1, 40)),
)
def test_the_plan_tells_the_sizes_of_the_views_without_the_pixels(
    width: int, height: int, mode: Mode, max_slices: int | None
) -> None:
    values = preprocessing(scale_resolution=112)
    plan = plan_slices(width, height, values, mode=mode, max_slices=max_slices)
    sliced = slice_image(Image.new("RGB", (width, height)), plan)
    assert sliced.grid == plan.grid
    assert (
        len(sliced.slices) == plan.grid[0] * plan.grid[1] <= (values.max_slices if max_slices is None else max_slices)
    )
    assert sliced.views[0] is sliced.thumbnail
    assert [(view.rows, view.columns) for view in sliced.views] == list(plan.views)
    for view in sliced.views:
        assert view.pixels.dtype == np.uint8
        assert view.pixels.shape == (view.rows * 14, view.columns * 14, 3)


def test_the_bundles_number_of_slices_counts_unless_another_is_asked_for() -> None:
    for limit in (1, 4, 9):
        values = preprocessing(max_slices=limit)
        assert plan_slices(2000, 1500, values, mode="16x") == plan_slices(
            2000, 1500, preprocessing(max_slices=36), mode="16x", max_slices=limit
        )


@pytest.mark.parametrize("max_slices", [0, -1, -36])
def test_less_than_one_slice_is_refused(max_slices: int) -> None:
    with pytest.raises(OptionError, match=f"max_slices is {max_slices}; it must be 1"):
        plan_slices(100, 100, preprocessing(), mode="16x", max_slices=max_slices)


def test_slicing_can_be_off() -> None:
    plan = plan_slices(2000, 1500, preprocessing(slicing=False), mode="16x")
    sliced = slice_image(Image.new("RGB", (2000, 1500)), plan)
    assert sliced.slices == ()
    assert sliced.grid == (0, 0)
