"""NaN and infinity on the way into the model and out of it, and embeddings that do not fit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.language_models.reading import PROMPT, embedded, logits_of
from support.tiny_gguf import HIDDEN, write_gguf

from uhd_edge.runtime.errors import EngineError, ModelError
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.sampling import Sampling

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_embeddings_with_nan_never_reach_the_model(model: LanguageModel, bad: float) -> None:
    expected = logits_of(model, model.vocabulary.tokenize(PROMPT))
    rows = embedded(model, PROMPT)
    rows[3, 5] = bad
    model.clear()
    with pytest.raises(EngineError, match="NaN or infinity"):
        model.prefill([model.vocabulary.tokenize("hello"), rows])
    assert model.position == 0
    assert np.array_equal(logits_of(model, model.vocabulary.tokenize(PROMPT)), expected)


@pytest.mark.parametrize("shape", [(3, HIDDEN - 1), (3, HIDDEN + 1), (HIDDEN,), (1, 3, HIDDEN)])
def test_embeddings_of_another_width_are_refused(model: LanguageModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(EngineError, match=f"do not fit a language model of width {HIDDEN}"):
        model.prefill([np.zeros(shape, np.float32)])


def test_a_model_that_returns_nan_is_one_error(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "nan.gguf", weight=math.nan)
    with LanguageModel(path, threads=1) as model:
        model.prefill([model.vocabulary.tokenize("hello")])
        with pytest.raises(ModelError, match="returned NaN or infinity"):
            next(model.generate(Sampling(), max_tokens=2))


def newest_logits(model: LanguageModel) -> np.ndarray:
    """The logits in llama.cpp's own memory, to be changed there."""
    pointer = model._api.llama_get_logits_ith(model._shared.handle, -1)
    return np.ctypeslib.as_array(pointer, (model.vocabulary.size,))


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.01, repetition_penalty=0.01)])
@pytest.mark.parametrize(("where", "bad"), [(7, math.nan), (7, math.inf), (7, 2e38), (slice(None), -math.inf)])
def test_logits_that_llama_cpp_would_abort_on_are_one_error(
    model: LanguageModel, sampling: Sampling, where: int | slice, bad: float
) -> None:
    model.clear()
    model.prefill([model.vocabulary.tokenize("hello")])
    newest_logits(model)[where] = bad
    with pytest.raises(ModelError, match="returned NaN or infinity"):
        next(model.generate(sampling, max_tokens=2))


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.01, repetition_penalty=0.01)])
def test_tokens_that_cannot_come_are_no_error_while_another_can(model: LanguageModel, sampling: Sampling) -> None:
    model.clear()
    model.prefill([model.vocabulary.tokenize("hello")])
    logits = newest_logits(model)
    logits[:] = -math.inf
    logits[9] = -3.0
    assert next(model.generate(sampling, max_tokens=2)) == 9


def test_logits_before_anything_was_read_are_one_error(model: LanguageModel) -> None:
    with pytest.raises(ModelError, match="nothing has been read"):
        model.logits()
