"""The language model against llama.cpp itself: ids and embeddings, generation, the end of the context."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.language_models.reading import PROMPT, embedded, logits_of
from support.tiny_gguf import CONTEXT, embedding_table

from uhd_edge.runtime.errors import ContextError, ModelError
from uhd_edge.runtime.llm.language_model import BATCH, LanguageModel
from uhd_edge.runtime.llm.sampling import Sampling

if TYPE_CHECKING:
    from pathlib import Path


def test_a_prompts_own_embeddings_give_the_logits_of_its_ids(model: LanguageModel) -> None:
    expected = logits_of(model, model.vocabulary.tokenize(PROMPT))
    assert np.array_equal(logits_of(model, embedded(model, PROMPT)), expected)


def test_text_and_embeddings_in_turns_give_the_logits_of_the_ids(model: LanguageModel) -> None:
    expected = logits_of(model, model.vocabulary.tokenize("hello" + PROMPT + "<image>hell"))
    mixed = logits_of(
        model, model.vocabulary.tokenize("hello"), embedded(model, PROMPT), model.vocabulary.tokenize("<image>hell")
    )
    np.testing.assert_allclose(mixed, expected, atol=1e-4)


def test_a_prompt_longer_than_a_batch_is_read_in_parts(model: LanguageModel) -> None:
    text = "hello " * (BATCH * 3 // 4)
    ids, rows = model.vocabulary.tokenize(text), embedded(model, text)
    assert len(rows) > BATCH
    np.testing.assert_allclose(logits_of(model, rows), logits_of(model, ids), atol=1e-4)
    assert model.position == len(rows)


def test_embeddings_that_are_not_contiguous_are_read_right(model: LanguageModel) -> None:
    rows = embedded(model, PROMPT)
    expected = logits_of(model, rows)
    assert np.array_equal(logits_of(model, np.asfortranarray(rows)), expected)
    assert np.array_equal(logits_of(model, np.repeat(rows, 2, axis=0)[::2]), expected)


def test_a_conversation_can_go_on(model: LanguageModel) -> None:
    whole = logits_of(model, model.vocabulary.tokenize("hello<image>hell"))
    model.clear()
    for part in ("hello", "<image>", "hell"):
        model.prefill([model.vocabulary.tokenize(part)])
    np.testing.assert_allclose(model.logits(), whole, atol=1e-4)


def test_generation_goes_on_from_its_own_tokens(model: LanguageModel) -> None:
    """Greedy by hand: prefill everything anew for every token."""
    model.prefill([model.vocabulary.tokenize(PROMPT)])
    generated = list(model.generate(Sampling(), max_tokens=6))
    table, expected = embedding_table(), []
    for _ in range(6):
        rows = np.concatenate([embedded(model, PROMPT), table[expected]])
        expected.append(int(logits_of(model, rows).argmax()))
    assert generated == expected


def test_the_same_seed_gives_the_same_tokens(model: LanguageModel) -> None:
    def sample(seed: int) -> list[int]:
        model.clear()
        model.prefill([model.vocabulary.tokenize(PROMPT)])
        return list(model.generate(Sampling(temperature=1.5, seed=seed), max_tokens=12))

    assert sample(7) == sample(7)
    assert sample(7) != sample(8)


def test_generation_may_be_left_at_any_point(model: LanguageModel) -> None:
    model.prefill([model.vocabulary.tokenize(PROMPT)])
    expected = list(model.generate(Sampling(), max_tokens=5))
    model.clear()
    model.prefill([model.vocabulary.tokenize(PROMPT)])
    steps = model.generate(Sampling(), max_tokens=5)
    assert [next(steps), next(steps)] == expected[:2]
    steps.close()
    model.clear()
    model.prefill([model.vocabulary.tokenize(PROMPT)])
    assert list(model.generate(Sampling(), max_tokens=5)) == expected


def test_generation_ends_where_the_context_does(path: Path) -> None:
    with LanguageModel(path, context=40, threads=1) as model:
        model.prefill([model.vocabulary.tokenize("hello" * 35)])
        assert len(list(model.generate(Sampling(), max_tokens=100))) == 5
        assert model.position == 40


def test_a_prompt_over_the_context_is_refused_before_it_is_read(model: LanguageModel) -> None:
    with pytest.raises(ContextError, match=rf"{CONTEXT + 1} tokens, the context {CONTEXT}"):
        model.prefill([model.vocabulary.tokenize("hello" * (CONTEXT + 1))])
    assert model.position == 0


def test_the_context_is_no_longer_than_the_model_was_trained_for(path: Path) -> None:
    with LanguageModel(path, context=10**9, threads=1) as model:
        assert (model.context, model.trained_context) == (CONTEXT, CONTEXT)


def test_a_closed_model_says_so(path: Path) -> None:
    model = LanguageModel(path, threads=1)
    model.prefill([model.vocabulary.tokenize("hello")])
    steps = model.generate(Sampling(), max_tokens=3)
    next(steps)
    model.close()
    model.close()
    for use in (lambda: next(steps), model.clear, lambda: model.prefill([[1]]), model.logits):
        with pytest.raises(ModelError, match="has been closed"):
            use()
