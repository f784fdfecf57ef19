"""The cache of embeddings: what is dropped, what a key tells apart, and who encodes what."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uhd_edge.runtime.vision.slicing import View
from uhd_edge.runtime.vision.view_cache import ENTRY_BYTES, ContentKey, Kept, ViewCache, content_key
from uhd_edge.runtime.vision.view_reuse import mean_difference

ENGINES: Any = ("16x", "an encoder", "a connector")


def key(name: str) -> ContentKey:
    return ContentKey(name.encode(), 1, 1, ENGINES)


def kept(name: str, numbers: int = 1000) -> Kept:
    return Kept(key(name), np.zeros((numbers, 1), np.float32))


def test_what_was_used_longest_ago_is_dropped_first() -> None:
    cache = ViewCache(3 * (4000 + ENTRY_BYTES))
    for name in "abc":
        cache.keep(key(name), kept(name))
    assert cache.find(key("a")) is not None  # now b is the oldest
    cache.keep(key("d"), kept("d"))
    assert [cache.find(key(name)) is not None for name in "abcd"] == [True, False, True, True]


@given(
    limit=st.integers(1, 200_000),
    entries=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 20_000)), max_size=40),
)
def test_it_never_keeps_more_bytes_than_its_limit_and_always_the_newest_that_fits(
    limit: int, entries: list[tuple[str, int]]
) -> None:
    cache = ViewCache(limit)
    for name, numbers in entries:
        cache.keep(key(name), kept(name, numbers))
        sizes = [found.size for other in "abcdefgh" if (found := cache.find(key(other))) is not None]
        assert sum(sizes) == cache.size <= limit
        assert len(sizes) == len(cache)
        assert (cache.find(key(name)) is not None) == (ENTRY_BYTES + 4 * numbers <= limit)


def test_a_key_tells_pixels_shapes_and_engines_apart_and_nothing_else() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    window = np.zeros((128, 128, 3), np.uint8)
    window[32:96, 32:96] = pixels
    changed = pixels.copy()
    changed[63, 63, 2] ^= 1
    same = content_key(View(pixels, 4, 4), ENGINES)
    assert content_key(View(window[32:96, 32:96], 4, 4), ENGINES) == same
    others = [
        content_key(View(changed, 4, 4), ENGINES),
        content_key(View(pixels.reshape(32, 128, 3), 2, 8), ENGINES),
        content_key(View(pixels, 4, 4), ("4x", *ENGINES[1:])),
        content_key(View(pixels, 4, 4), ("16x", "an encoder", "another connector")),
    ]
    assert len({same, *others}) == 5


@given(st.integers(0, 2**32 - 1))
def test_the_difference_is_the_mean_of_the_absolute_differences(seed: int) -> None:
    first, second = np.random.default_rng(seed).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    expected = np.abs(first.astype(float) - second.astype(float)).mean()
    assert mean_difference(first, second) == pytest.approx(expected, abs=1e-9)
    assert mean_difference(second, first) == pytest.approx(expected, abs=1e-9)


def test_each_view_is_given_to_one_of_the_threads_that_want_it() -> None:
    cache = ViewCache(10**6)
    with cache.sharing([key("a"), key("b")]) as first:
        assert first.mine == (key("a"), key("b"))
        with cache.sharing([key("b"), key("c")]) as second:
            assert second.mine == (key("c"),)
            cache.done(kept("c"))
        cache.done(kept("a"))
        cache.done(kept("b"))
    (other,) = second.elsewhere
    result = other.result(timeout=0)
    assert result is not None
    assert result.content == key("b")
    with cache.sharing([key("a"), key("b"), key("c")]) as third:
        assert third.mine == third.elsewhere == ()
        assert [found.content for found in third.found] == [key("a"), key("b"), key("c")]


def test_a_view_that_is_too_large_to_keep_still_reaches_who_waits_for_it() -> None:
    cache = ViewCache(10)
    with cache.sharing([key("a")]), cache.sharing([key("a")]) as waiting:
        cache.done(kept("a"))
    assert len(cache) == 0
    assert waiting.elsewhere[0].result(timeout=0) is not None


def test_what_a_thread_fails_to_encode_is_given_back() -> None:
    cache = ViewCache(10**6)
    with pytest.raises(KeyboardInterrupt), cache.sharing([key("a")]), cache.sharing([key("a")]) as waiting:
        raise KeyboardInterrupt
    assert waiting.elsewhere[0].result(timeout=0) is None
    with cache.sharing([key("a")]) as again:
        assert again.mine == (key("a"),)


def test_many_threads_keep_its_books_right() -> None:
    cache = ViewCache(20 * (400 + ENTRY_BYTES))

    def work(seed: int) -> None:
        dice = np.random.default_rng(seed)
        for number in dice.integers(0, 60, 300):
            cache.keep(key(str(number)), kept(str(number), 100))
            cache.find(key(str(dice.integers(0, 60))))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache) == 20
    assert cache.size == 20 * (400 + ENTRY_BYTES)
    cache.clear()
    assert cache.size == len(cache) == 0
