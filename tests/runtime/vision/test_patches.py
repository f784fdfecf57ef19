"""Patches and position ids: block order, and where in the position table a patch falls."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from support.preprocessing_reference import MODES, block_places, preprocessing, vision
from transformers.vision_utils import get_vision_nearest_position_ids

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.vision.patches import make_patches, position_ids, tokens_per_view
from uhd_edge.runtime.vision.slicing import View


def numbered_view(rows: int, columns: int) -> View:
    """Every pixel of a patch holds the patch's number, row by row."""
    numbers = np.arange(rows * columns, dtype=np.uint8).reshape(rows, columns)
    pixels = np.repeat(np.repeat(numbers, 14, axis=0), 14, axis=1)
    return View(np.repeat(pixels[..., None], 3, axis=2), rows, columns)


def order(rows: int, columns: int, mode: Mode, **sizes: int) -> list[int]:
    """Numbers of the patches in the order in which they come out."""
    plain = preprocessing(rescale_factor=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    patches = make_patches(numbered_view(rows, columns), plain, vision(**sizes), mode=mode)
    assert (patches == patches[:, :1]).all()
    return [int(number) for number in patches[:, 0]]


def test_in_4x_the_four_patches_of_a_square_follow_each_other() -> None:
    # fmt: off
    assert order(2, 4, "4x") == [0, 1, 4, 5,   2, 3, 6, 7]
    # fmt: on


def test_in_16x_four_windows_make_a_block_and_blocks_come_row_by_row() -> None:
    # fmt: off
    assert order(4, 8, "16x") == [
        0, 1,  8,  9,    2, 3, 10, 11,   16, 17, 24, 25,   18, 19, 26, 27,
        4, 5, 12, 13,    6, 7, 14, 15,   20, 21, 28, 29,   22, 23, 30, 31,
    ]
    # fmt: on


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("rows", "columns"), [(8, 16), (16, 8), (8, 24)])
@pytest.mark.parametrize("merge_rounds", [1, 2])
def test_further_rounds_of_merging_nest_further_levels(rows: int, columns: int, merge_rounds: int, mode: Mode) -> None:
    sides = [2] * merge_rounds + ([2] if mode == "16x" else [])
    places = block_places(rows, columns, sides)
    numbers = order(rows, columns, mode, merge_rounds=merge_rounds)
    assert [numbers[place] for place in places] == list(range(rows * columns))
    tokens = tokens_per_view(rows, columns, vision(merge_rounds=merge_rounds), mode=mode)
    assert tokens * 4 ** len(sides) == rows * columns


def test_the_values_of_a_patch_run_channel_by_channel_then_row_by_row() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (56, 56, 3), dtype=np.uint8)
    plain = preprocessing(rescale_factor=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    first = make_patches(View(pixels, 4, 4), plain, vision(), mode="16x")[0]
    assert np.array_equal(first.reshape(3, 14, 14), pixels[:14, :14].transpose(2, 0, 1))


def test_each_channel_has_its_own_mean_and_deviation() -> None:
    pixels = np.full((56, 56, 3), 255, np.uint8)
    values = preprocessing(mean=(0.0, 0.5, 1.0), std=(0.5, 0.25, 2.0))
    patches = make_patches(View(pixels, 4, 4), values, vision(), mode="16x")
    assert patches.dtype == np.float32
    assert [float(value) for value in patches[3, ::196]] == [2.0, 2.0, 0.0]


@pytest.mark.parametrize("mean", [(0.5, 0.5, 0.5), (0.48145466, 0.4578275, 0.40821073)])
def test_pixels_go_to_their_place_in_a_batch_without_a_copy_in_between(mean: tuple[float, float, float]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (896, 896, 3), dtype=np.uint8)
    view = View(picture[448:, 448:], 32, 32)  # a window into a larger picture, as slices are
    values = preprocessing(mean=mean)
    expected = make_patches(view, values, vision(), mode="16x")
    batch = np.empty((2, *expected.shape), np.float32)
    tracemalloc.start()
    returned = make_patches(view, values, vision(), mode="16x", out=batch[1])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.shares_memory(returned, batch)
    assert np.array_equal(batch[1], expected)
    assert most < view.pixels.nbytes / 4


@pytest.mark.parametrize("table_side", [*range(1, 40), 56, 64, 70, 72, 98, 127])
def test_position_ids_equal_those_of_transformers(table_side: int) -> None:
    sides = list(range(4, 141, 2))
    for rows, columns in zip(sides, [*sides[7:], *sides[:7]], strict=True):
        expected = get_vision_nearest_position_ids(torch.tensor([[rows, columns]]), table_side).numpy()
        ids = position_ids(rows, columns, vision(table_side=table_side), mode="4x")
        assert ids.dtype == expected.dtype
        assert np.array_equal(ids[block_places(rows, columns, [2])], expected), (rows, columns)


def test_position_ids_by_steps_equal_those_of_the_code_of_llava_uhd_v4() -> None:
    boundaries = torch.arange(1 / 70, 1.0, 1 / 70)
    for count in (*range(2, 402, 2), 1600, 2046):
        steps = torch.arange(0, 1 - 1e-6, 1 / torch.tensor(count, dtype=torch.int32))
        expected = torch.bucketize(steps, boundaries, right=True).numpy()
        ids = position_ids(2, count, vision(coordinates="steps"), mode="4x")
        assert np.array_equal(ids[block_places(2, count, [2])][:count], expected), count
    by_quotients = position_ids(2, 50, vision(), mode="4x")
    assert not np.array_equal(by_quotients, position_ids(2, 50, vision(coordinates="steps"), mode="4x"))


def test_position_ids_follow_the_patches_into_block_order() -> None:
    expected = get_vision_nearest_position_ids(torch.tensor([[24, 40]]), 70).numpy()
    ids = position_ids(24, 40, vision(), mode="16x")
    assert np.array_equal(ids[block_places(24, 40, [2, 2])], expected)


def test_views_of_thousands_of_patches_in_a_row_have_the_positions_of_transformers() -> None:
    for rows, columns in ((4, 2000), (2024, 4), (404, 12)):
        expected = get_vision_nearest_position_ids(torch.tensor([[rows, columns]]), 70).numpy()
        ids = position_ids(rows, columns, vision(), mode="16x")
        assert np.array_equal(ids[block_places(rows, columns, [2, 2])], expected)


@pytest.mark.parametrize(("rows", "columns"), [(4, 512), (512, 4), (12, 28), (36, 20)])
def test_position_ids_of_a_moonvit_are_rows_and_columns_of_the_view_s_own_grid(rows: int, columns: int) -> None:
    ids = position_ids(rows, columns, vision(backbone="moonvit"), mode="16x")
    places = np.stack(np.divmod(ids[block_places(rows, columns, [2, 2])], 512), axis=-1)
    assert np.array_equal(places.reshape(rows, columns, 2), np.moveaxis(np.indices((rows, columns)), 0, -1))


@pytest.mark.parametrize(("rows", "columns"), [(4, 516), (516, 4)])
def test_a_view_with_more_columns_or_rows_than_a_moonvit_has_places_is_refused(rows: int, columns: int) -> None:
    with pytest.raises(ImageError, match=f"{rows} x {columns} patches is too thin .* 512 rows .* crop the image"):
        position_ids(rows, columns, vision(backbone="moonvit"), mode="16x")


@pytest.mark.parametrize(("rows", "columns", "mode"), [(6, 8, "16x"), (8, 6, "16x"), (3, 4, "4x"), (4, 3, "4x")])
def test_a_view_that_cannot_be_merged_is_refused(rows: int, columns: int, mode: Mode) -> None:
    with pytest.raises(ImageError, match=f"a view of {rows} x {columns} patches cannot be merged"):
        position_ids(rows, columns, vision(), mode=mode)
    with pytest.raises(ImageError, match="cannot be merged"):
        make_patches(numbered_view(rows, columns), preprocessing(), vision(), mode=mode)
