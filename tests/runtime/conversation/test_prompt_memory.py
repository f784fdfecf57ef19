"""What is kept of prompts, and the language model's way back: bits, bounds and bytes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uhd_edge.runtime.conversation.prompt_tokens import common_length
from uhd_edge.runtime.conversation.saved_prompts import SavedPrompt, SavedPrompts
from uhd_edge.runtime.conversation.turns import Turn, shortened
from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.chunks import SMALLEST_BATCH, batch_bounds
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.state import SavedState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime import Bundle


@pytest.fixture(scope="module")
def model(trained: Bundle) -> Iterator[LanguageModel]:
    with LanguageModel(trained.llm_path, threads=2) as model:
        yield model


def drawn(count: int, seed: int = 0) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(0, 256, count)]


def read(model: LanguageModel, tokens: list[int]) -> np.ndarray:
    model.prefill([tokens])
    return model.logits()


@pytest.mark.parametrize("place", [64, 65, 200, 435, 536])
def test_what_was_read_in_large_batches_has_the_same_bits_however_it_was_cut(model: LanguageModel, place: int) -> None:
    tokens = drawn(600)
    model.clear()
    expected = read(model, tokens)
    model.clear()
    read(model, tokens[:place])
    assert np.array_equal(read(model, tokens[place:]), expected)


def test_a_saved_memory_goes_on_as_if_nothing_had_happened(model: LanguageModel) -> None:
    tokens = drawn(300)
    model.clear()
    read(model, tokens[:150])
    whole, recurrent = model.save(whole=True), model.save(whole=False)
    expected = read(model, tokens[150:])
    model.restore(recurrent)
    assert model.position == 150
    assert np.array_equal(read(model, tokens[150:]), expected)
    model.clear()
    read(model, drawn(80, seed=1))
    model.restore(whole)
    assert np.array_equal(read(model, tokens[150:]), expected)
    assert not model.is_recurrent or whole.nbytes > recurrent.nbytes


def test_a_model_goes_back_where_it_can_and_says_where_it_cannot(model: LanguageModel) -> None:
    tokens = drawn(200)
    model.clear()
    read(model, tokens)
    if model.is_recurrent:
        with pytest.raises(ModelError, match="cannot go back to its token 100"):
            model.rewind(100)
        assert model.position == 0
    else:
        expected = read(model, tokens[:64])
        model.rewind(200)
        assert np.array_equal(read(model, tokens[:64]), expected)
    model.clear()
    with pytest.raises(ModelError, match="cannot go back to its token 5"):
        model.rewind(5)


def test_a_state_that_is_damaged_is_an_error_and_leaves_an_empty_memory(model: LanguageModel) -> None:
    model.clear()
    read(model, drawn(100))
    state = model.save(whole=True)
    damaged = SavedState(state.data[:50].copy(), state.history, whole=True)
    with pytest.raises(ModelError, match="cannot go back to a saved memory"):
        model.restore(damaged)
    assert model.position == 0
    assert len(read(model, drawn(70)))


@given(count=st.integers(0, 3000), most=st.integers(1, 600))
def test_batches_are_whole_no_larger_than_allowed_and_not_small(count: int, most: int) -> None:
    bounds = batch_bounds(count, most)
    sizes = [stop - start for start, stop in pairwise(bounds)]
    assert sum(sizes) == count
    assert all(0 < size <= most for size in sizes)
    if count >= SMALLEST_BATCH and most >= 2 * SMALLEST_BATCH:
        assert min(sizes) >= SMALLEST_BATCH


def saved(ids: list[int], size: int = 1000, *, whole: bool = True) -> SavedPrompt:
    state = SavedState(np.zeros(size, np.uint8), np.zeros((2, len(ids)), np.int32), whole)
    return SavedPrompt(np.array(ids, np.int64), state)


def test_the_state_that_was_not_used_for_the_longest_time_goes_first() -> None:
    first, second, third = (saved([number] * 5) for number in range(3))
    kept = SavedPrompts(2 * first.nbytes)
    kept.add(first)
    kept.add(second)
    kept.touch(first)
    kept.add(third)
    assert kept.whole() == [third, first]
    assert kept.nbytes <= kept.limit
    kept.add(saved([9], 10**6))
    assert kept.whole() == [third, first], "what is too large to keep drives nothing out"


def test_a_state_that_another_goes_on_from_is_superfluous_and_one_that_serves_nobody_is_dropped() -> None:
    kept = SavedPrompts(10**9)
    short, long, other = saved([1] * 70), saved([1] * 90), saved([2] * 80)
    place, far = saved([1] * 66, whole=False), saved([1] * 95, whole=False)
    for one in (short, place, other, long, far):
        kept.add(one)
    assert kept.whole() == [long, other]
    assert kept.latest_within(np.ones(68, np.int64)) is place
    assert kept.latest_within(np.full(9, 3)) is None
    kept.keep_for([np.ones(92, np.int64)])
    assert kept.nbytes == place.nbytes + long.nbytes


@given(st.lists(st.integers(-3, 3)), st.lists(st.integers(-3, 3)))
def test_a_common_beginning_is_found(one: list[int], other: list[int]) -> None:
    expected = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    assert common_length(np.array(one, np.int64), np.array(other, np.int64)) == expected


def test_turns_with_images_are_spared_until_the_prompt_would_not_fit() -> None:
    seen = Turn("seen", "", (object(),))  # type: ignore[arg-type]  # which image is no matter
    first, second = Turn("first", ""), Turn("second", "")
    turns = (seen, first, second)
    assert shortened(turns, tokens=800, context=1000, max_tokens=200) is None
    assert shortened(turns, tokens=801, context=1000, max_tokens=200) == (seen, second)
    assert shortened(turns, tokens=750, context=1000, max_tokens=999) is None
    assert shortened((seen,), tokens=999, context=1000, max_tokens=200) is None
    assert shortened((seen,), tokens=1000, context=1000, max_tokens=200) == ()
    assert shortened((), tokens=1000, context=1000, max_tokens=200) is None
