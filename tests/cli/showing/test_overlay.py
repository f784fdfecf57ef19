"""The grid of slices drawn over a picture, against the numbers of the plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from uhd_edge.cli.showing.overlay import LINE, REUSED, canvas_size, describe_views, draw_views
from uhd_edge.runtime.answer import EncodedView
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Preprocessing
from uhd_edge.runtime.vision.slicing import SlicePlan, plan_views

GREY = (90, 90, 90)
SIZES = [(800, 300), (300, 1400), (20, 30), (640, 480), (5000, 3000), (1, 1), (900, 30)]


@pytest.fixture(scope="module")
def preprocessing() -> Preprocessing:
    return Bundle.open().manifest.preprocessing


def planned(size: tuple[int, int], preprocessing: Preprocessing) -> tuple[SlicePlan, list[EncodedView]]:
    plan = plan_views(*size, preprocessing, mode="16x")
    return plan, [EncodedView(rows, columns, rows * columns // 16) for rows, columns in plan.views]


def drawn(size: tuple[int, int], plan: SlicePlan, views: list[EncodedView]) -> np.ndarray:
    return np.asarray(draw_views(Image.new("RGB", size, GREY), plan, views))


@pytest.mark.parametrize("size", SIZES)
def test_lines_are_where_the_plan_cuts_and_nowhere_else(size: tuple[int, int], preprocessing: Preprocessing) -> None:
    plan, views = planned(size, preprocessing)
    width, height = canvas_size(size)
    pixels = drawn(size, plan, views)[:height, :width]
    rows, columns = plan.grid if plan.grid != (0, 0) else (1, 1)
    at_right, at_bottom = pixels[height - 1], pixels[:, width - 1]  # labels are at the upper left
    for count, side, line in ((columns, width, at_right), (rows, height, at_bottom)):
        lines = (line == LINE).all(axis=1)
        cuts = [round(number * side / count) for number in range(1, count)]
        assert all(lines[cut] for cut in cuts)
        starts = np.count_nonzero(lines & ~np.roll(lines, 1))
        assert starts == len(cuts)


def test_between_the_lines_the_picture_is_as_it_was(preprocessing: Preprocessing) -> None:
    plan, views = planned((800, 300), preprocessing)
    picture = Image.effect_noise((800, 300), 60).convert("RGB")
    shown = np.asarray(draw_views(picture, plan, views))
    for column in range(plan.grid[1]):
        left = column * 200 + 10
        assert np.array_equal(shown[150:290, left : left + 180], np.asarray(picture)[150:290, left : left + 180])


def test_only_reused_views_are_hatched(preprocessing: Preprocessing) -> None:
    plan, views = planned((800, 300), preprocessing)
    views[2] = replace(views[2], reused=True)
    pixels = drawn((800, 300), plan, views)
    hatched = (pixels[:300] == REUSED).all(axis=2)
    assert [bool(hatched[:, 200 * column : 200 * (column + 1)].any()) for column in range(4)] == [
        False,
        True,
        False,
        False,
    ]
    views[0] = replace(views[0], reused=True)
    foot = drawn((800, 300), plan, views)[300:]
    assert (foot == REUSED).all(axis=2).any()
    assert not (pixels[300:] == REUSED).all(axis=2).any()


def test_hatching_is_seen_on_a_picture_of_its_own_colour(preprocessing: Preprocessing) -> None:
    plan, views = planned((800, 300), preprocessing)
    reused = [replace(view, reused=True) for view in views]
    pixels = np.asarray(draw_views(Image.new("RGB", (800, 300), REUSED), plan, reused))
    inside = pixels[100:290, 20:190].reshape(-1, 3).astype(int)  # of the first slice, without label and lines
    assert (abs(inside - REUSED).sum(axis=1) > 300).mean() > 0.03


def test_every_view_says_its_own_tokens(preprocessing: Preprocessing) -> None:
    plan, views = planned((640, 480), preprocessing)
    changed = [replace(view, tokens=view.tokens + (number == 3)) for number, view in enumerate(views)]
    different = (drawn((640, 480), plan, views) != drawn((640, 480), plan, changed)).any(axis=2)[:480]
    rows, columns = plan.grid
    places = np.argwhere(different)
    assert {(int(y * rows / 480), int(x * columns / 640)) for y, x in places} == {divmod(2, columns)}


def test_the_foot_tells_all_numbers(preprocessing: Preprocessing) -> None:
    plan, views = planned((800, 300), preprocessing)
    total = sum(view.tokens for view in views)
    assert describe_views(plan, views) == [
        f"800x300 pixels, 16x: {total} tokens",
        f"thumbnail {plan.thumbnail[1]}x{plan.thumbnail[0]}: {views[0].tokens} tokens",
        f"1 x 4 slices of {plan.slice_size[1]}x{plan.slice_size[0]}: {views[1].tokens} tokens each",
    ]
    reused = [replace(view, reused=number < 2) for number, view in enumerate(views)]
    assert describe_views(plan, reused)[0].endswith("2 of 5 views reused (hatched)")
    small, view = planned((20, 30), preprocessing)
    assert describe_views(small, view)[1].startswith("one view ")
