"""Conversations beside each other in one context: each goes on as if it were alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.language_models.small_hybrid import SMALL_HYBRID
from support.tiny_gguf import CONTEXT, write_gguf

from uhd_edge.bench.synthetic.random_hybrid import write_random_hybrid
from uhd_edge.bench.synthetic.random_llm import RandomLanguageModel, write_random_llm
from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.chunks import IMAGE_ROW
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXTS = ("hello", "hell hello", "<image>hello hell")
HYBRID = replace(SMALL_HYBRID, context=CONTEXT)


@pytest.fixture(scope="module", params=["qwen3", "qwen2vl", "hybrid"])
def several(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Three conversations of a plain transformer, of one with M-RoPE, and of one with recurrent layers."""
    file = tmp_path_factory.mktemp("models") / "model.gguf"
    if request.param == "hybrid":
        write_random_hybrid(file, HYBRID)
    else:
        write_gguf(file, architecture=request.param)
    with LanguageModel(file, threads=1, exact=True, conversations=3) as model:
        yield model.conversations


@pytest.fixture
def models(several: tuple[LanguageModel, ...]) -> tuple[LanguageModel, ...]:
    for model in several:
        model.clear()
    return several


def begin(model: LanguageModel, text: str, **sampling: Any) -> Iterator[int]:
    """Generate tokens, and announce each before it is given."""
    model.clear()
    model.prefill([model.vocabulary.tokenize(text)])
    for token in model.generate(Sampling(**sampling), max_tokens=40):
        model.announce(token)
        yield token


def take(tokens: Iterator[int], count: int) -> list[int]:
    return [next(tokens) for _ in range(count)]


def test_tokens_are_those_of_each_alone(models: tuple[LanguageModel, ...]) -> None:
    alone = [take(begin(model, text), 12) for model, text in zip(models, TEXTS, strict=True)]
    beside = [begin(model, text) for model, text in zip(models, TEXTS, strict=True)]
    found: list[list[int]] = [take(beside[0], 2), [], []]  # the others begin later
    for _ in range(10):
        for tokens, one in zip(found, beside, strict=True):
            tokens.append(next(one))
    assert [tokens == expected[: len(tokens)] for tokens, expected in zip(found, alone, strict=True)] == [True] * 3
    read = [model.position - len(model.vocabulary.tokenize(text)) for model, text in zip(models, TEXTS, strict=True)]
    assert read[1:] == [9, 9]


def test_next_tokens_are_read_in_one_batch(models: tuple[LanguageModel, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    beside = [begin(model, text) for model, text in zip(models, TEXTS, strict=True)]
    for one in beside:
        next(one)
    sizes: list[int] = []
    shared: Any = models[0]._shared
    decode = shared._decode
    monkeypatch.setattr(shared, "_decode", lambda batch: (sizes.append(batch.size), decode(batch)))
    for _ in range(4):
        for one in beside:
            next(one)
    assert sizes == [3] * 4


def test_a_conversation_goes_back_without_the_others(models: tuple[LanguageModel, ...]) -> None:
    first, second, _ = models
    expected = take(begin(first, TEXTS[0]), 8)
    other = begin(first, TEXTS[0])
    found = take(other, 3)
    ids = second.vocabulary.tokenize(TEXTS[1])
    second.prefill([ids])
    place, state = second.position, second.save(whole=True)
    answer = take(iter(second.generate(Sampling(), max_tokens=9)), 5)
    found += take(other, 2)
    second.restore(state)
    assert second.position == place
    second.clear()
    second.prefill([ids])
    assert take(iter(second.generate(Sampling(), max_tokens=9)), 5) == answer
    assert [*found, *take(other, 3)] == expected


def test_an_announced_token_is_read_once(models: tuple[LanguageModel, ...]) -> None:
    """It may be read for another conversation first, or be read by hand, or its answer may have ended."""
    first, _, third = models
    beside = [begin(model, text) for model, text in zip(models, TEXTS, strict=True)]
    (token,) = take(beside[0], 1)
    places = [model.position for model in models]
    take(beside[1], 1)
    first.prefill([[token]])
    assert first.position == places[0] + 1
    take(beside[1], 1)
    assert first.position == places[0] + 1
    take(beside[2], 1)
    third.clear()
    take(beside[1], 1)
    assert third.position == 0


def read_nan(model: LanguageModel) -> None:
    """Let a conversation read embeddings that a check would refuse: its memory and its logits are NaN then."""
    rows = np.full((3, model.width), np.nan, np.float32)
    model._decode(rows, [IMAGE_ROW] * 3, model._read.positions(3), want_logits=True)


def test_logits_that_are_none_end_their_own_answer_only(models: tuple[LanguageModel, ...]) -> None:
    first, second, third = models
    expected = [take(begin(model, text), 8) for model, text in zip(models, TEXTS, strict=True)]
    for model in models:
        model.clear()
    beside, broken = begin(first, TEXTS[0]), begin(second, TEXTS[1])
    found = take(beside, 2)
    assert take(broken, 3) == expected[1][:3]
    read_nan(second)
    found += take(beside, 2)
    with pytest.raises(ModelError, match="NaN"):
        next(iter(second.generate(Sampling(), max_tokens=2)))
    again, new = begin(second, TEXTS[1]), begin(third, TEXTS[2])
    assert [take(again, 4), take(new, 8)] == [expected[1][:4], expected[2]]
    assert [*found, *take(beside, 4)] == expected[0]
    assert take(again, 4) == expected[1][4:]


def test_nan_that_nobody_looked_at_does_not_reach_the_next_answer(models: tuple[LanguageModel, ...]) -> None:
    first, second, _ = models
    expected = [take(begin(model, text), 8) for model, text in zip(models, TEXTS, strict=True)]
    first.clear()
    beside = begin(first, TEXTS[0])
    found = take(beside, 4)
    read_nan(second)
    assert take(begin(second, TEXTS[1]), 8) == expected[1]
    assert [*found, *take(beside, 4)] == expected[0]


def test_a_tiny_model_has_contexts_for_several_threads_and_they_do_not_wait_for_each_other(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    with LanguageModel(path, exact=True, threads=2, conversations=3) as model, ThreadPoolExecutor(2) as threads:
        assert [one.lane for one in model.conversations] == [0, 1, 0]
        first, second, third = model.conversations
        alone = [take(begin(first, text), 12) for text in TEXTS]
        beside = threads.submit(lambda: take(begin(second, TEXTS[1]), 12))
        tokens, others = begin(first, TEXTS[0]), begin(third, TEXTS[2])
        found = [(next(tokens), next(others)) for _ in range(12)]
        assert [[one for one, _ in found], beside.result(), [other for _, other in found]] == alone
    with pytest.raises(ModelError, match="has been closed"):
        second.clear()


def test_a_model_of_useful_size_has_one_context(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    write_random_llm(file, RandomLanguageModel(hidden=256, intermediate=2048, layers=1))
    with LanguageModel(file, threads=2, conversations=2) as model:
        assert model.lanes == 1


def test_a_state_is_restored_where_all_was_lost(models: tuple[LanguageModel, ...]) -> None:
    first, *_ = models
    first.prefill([first.vocabulary.tokenize(TEXTS[0])])
    state = first.save(whole=True)
    first.prefill([[5]])
    expected = first.logits()
    first._shared.lose_all(ModelError("llama.cpp failed"))
    with pytest.raises(ModelError, match=r"llama\.cpp failed"):
        first.prefill([[5]])
    first.restore(state)
    first.prefill([[5]])
    assert np.array_equal(first.logits(), expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_each_has_the_whole_context(tmp_path: Path, threads: int) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    with LanguageModel(path, context=40, threads=threads, conversations=2) as model:
        for one in model.conversations:
            one.prefill([one.vocabulary.tokenize("hello" * 35)])
        answers = [one.generate(Sampling(), max_tokens=100) for one in model.conversations]
        assert [len(list(answer)) for answer in answers] == [5, 5]
        assert [one.position for one in model.conversations] == [40, 40]
