"""Positions on a canvas are those that transformers' MiniCPM-V 4.7 computes from the same token ids."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MiniCPMV4_7Model

from uhd_edge.runtime.prompt.canvas import Crop, Markers, evenly_spaced, place_on_canvas

MARKERS = Markers(image_start=10, image_end=11, slice_start=12, slice_end=13, newline=14)
IMAGE, VIDEO = 100, 101
FACTOR = 4  # patches on a side of what becomes one token, in 16x


def reference_positions(ids: list[int], shapes: list[tuple[int, int]]) -> list[list[int]]:
    """transformers' positions of a prompt whose views have (rows, columns) of embeddings."""
    kinds = {IMAGE: 1, VIDEO: 2}
    runs = [kinds[token] for before, token in zip([0, *ids], ids, strict=False) if token in kinds and token != before]
    sizes = {
        kind: torch.tensor([[FACTOR * rows, FACTOR * columns] for (rows, columns), run in zip(shapes, runs, strict=True)
                            if run == kind] or [[0, 0]])
        for kind in (1, 2)
    }  # fmt: skip
    names = ("image_start", "image_end", "slice_start", "slice_end", "newline")
    config = SimpleNamespace(downsample_mode="16x", **{f"{name}_id": getattr(MARKERS, name) for name in names})
    itself: Any = SimpleNamespace(config=config, _frame_end_idx=MiniCPMV4_7Model._frame_end_idx)
    for name in ("_group_visual_frames", "get_vision_position_ids"):
        method = getattr(MiniCPMV4_7Model, name)
        setattr(itself, name, lambda *given, method=method, **named: method(itself, *given, **named))
    positions, _ = MiniCPMV4_7Model.get_rope_index(
        itself,
        torch.tensor([ids]),
        mm_token_type_ids=torch.tensor([[kinds.get(token, 0) for token in ids]]),
        target_sizes=sizes[1],
        target_sizes_videos=sizes[2],
    )
    found: list[list[int]] = positions[:, 0].tolist()
    return found


def our_positions(ids: list[int], shapes: list[tuple[int, int]]) -> list[list[int]]:
    crops, start = [], 0
    for shape in shapes:
        while ids[start] not in (IMAGE, VIDEO):
            start += 1
        crops.append(Crop(start, start + shape[0] * shape[1], shape))
        start = crops[-1].stop
    marked = np.array([-1 if token in (IMAGE, VIDEO) else token for token in ids], np.int64)
    found: list[list[int]] = place_on_canvas(marked, crops, MARKERS).tolist()
    return found


def test_a_checked_prompt_has_the_positions_that_were_written_down() -> None:
    """One text token, an image of 8 x 8 patches in one view of 2 x 2 embeddings, and a text token behind it."""
    ids = [1, 10, IMAGE, IMAGE, IMAGE, IMAGE, 11, 2]
    expected = [[0, 1, 1, 1, 1, 1, 1, 4], [0, 0, 1, 1, 2, 2, 3, 4], [0, 0, 1, 2, 1, 2, 3, 4]]
    assert our_positions(ids, [(2, 2)]) == expected
    assert reference_positions(ids, [(2, 2)]) == expected


SIDE = st.integers(1, 9)
TEXT = st.lists(st.sampled_from([1, 2, 3, 10, 11, 12, 13, 14, 14]), max_size=4)


@st.composite
def prompts(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int]]]:
    """Images and frames of videos with and without slices, between words and markers that somebody typed."""
    ids, shapes = [1, *draw(TEXT)], []
    for _ in range(draw(st.integers(0, 4))):
        token = draw(st.sampled_from([IMAGE, VIDEO]))
        thumbnail = draw(st.tuples(SIDE, SIDE))
        ids += [10, *[token] * (thumbnail[0] * thumbnail[1]), 11]
        shapes.append(thumbnail)
        rows, columns = draw(st.sampled_from([(0, 0), (1, 2), (2, 1), (2, 2), (3, 2), (1, 5)]))
        size = draw(st.tuples(SIDE, SIDE))
        for row in range(rows):
            ids += [14] if row else []
            for _column in range(columns):
                ids += [12, *[token] * (size[0] * size[1]), 13]
                shapes.append(size)
        ids += draw(st.one_of(st.just([]), TEXT))
    return ids, shapes


@settings(max_examples=150)
@given(prompts())
def test_positions_are_those_of_transformers(prompt: tuple[list[int], list[tuple[int, int]]]) -> None:
    ids, shapes = prompt
    assert our_positions(ids, shapes) == reference_positions(ids, shapes)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 32])
def test_a_thumbnail_is_spread_as_torch_spreads_it(count: int) -> None:
    for length in range(1, 130):
        assert evenly_spaced(length, count).tolist() == torch.linspace(0, length - 1, count).round().long().tolist()
