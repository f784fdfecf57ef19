"""Which views of the pictures are used, where not all are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from uhd_edge.calibration.pictures import Pictures, choose_views
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.vision.slicing import plan_views


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=30), most=st.integers(1, 300))
def test_every_picture_gives_as_many_views_as_the_others_and_its_thumbnail_first(counts: list[int], most: int) -> None:
    chosen = choose_views(counts, most)
    assert sum(map(len, chosen)) == min(most, sum(counts))
    for count, indices in zip(counts, chosen, strict=True):
        assert indices == sorted(set(indices))
        assert not indices or (indices[0] == 0 and indices[-1] < count)
    given_up = [len(indices) for count, indices in zip(counts, chosen, strict=True) if len(indices) < count]
    assert not given_up or max(map(len, chosen)) <= min(given_up) + 1


def test_slices_and_pictures_are_spread() -> None:
    assert choose_views([10, 10], 8) == [[0, 2, 5, 8], [0, 2, 5, 8]]
    assert choose_views([5] * 9, 3) == [[], [0], [], [], [0], [], [], [0], []]


def test_a_limit_is_for_each_mode_and_counts_what_is_yielded(tmp_path: Path) -> None:
    files = []
    for index, (width, height) in enumerate([(500, 400), (224, 224), (300, 900)]):
        files.append(tmp_path / f"{index}.png")
        Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(files[-1])
    manifest = Bundle.open().manifest
    sizes = ((500, 400), (224, 224), (300, 900))
    plans = [plan_views(*size, manifest.preprocessing, mode="16x", max_slices=4) for size in sizes]
    for most, expected in ((None, sum(len(plan.views) for plan in plans)), (5, 5), (2, 2)):
        pictures = Pictures(tuple(files), 4, most)
        for mode in ("16x", "4x"):
            names = [view.name for view in pictures.views(manifest, mode)]  # type: ignore[arg-type]
            assert len(names) == len(set(names)) == pictures.count(manifest, mode)  # type: ignore[arg-type]
            assert len(names) == expected
            assert any(name.startswith(str(files[0])) for name in names)
