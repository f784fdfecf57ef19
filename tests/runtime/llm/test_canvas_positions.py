"""Positions on a canvas in llama.cpp's memory: kept when it goes back, and beside other conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.language_models.small_hybrid import SMALL_HYBRID

from uhd_edge.bench.synthetic.random_hybrid import write_random_hybrid
from uhd_edge.export.language_model.canvas_sections import move_time_to_fourth
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from uhd_edge.runtime.llm.chunks import PromptChunk

TOKENS = 12


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LanguageModel, ...]]:
    file = tmp_path_factory.mktemp("models") / "canvas.gguf"
    write_random_hybrid(file, SMALL_HYBRID)
    move_time_to_fourth(file, name="it")
    with LanguageModel(file, threads=1, exact=True, conversations=2) as model:
        assert model.has_canvas
        yield model.conversations


def prompt(model: LanguageModel, rows: int, columns: int) -> tuple[list[PromptChunk], NDArray[np.int32]]:
    """Two tokens, an image of rows x columns, and a token beyond it."""
    view = np.random.default_rng(rows).normal(size=(rows * columns, model.width)).astype(np.float32)
    down, across = np.divmod(np.arange(len(view)), columns)
    places = [[0, 1, *[2] * len(view)], [0, 1, *2 + down], [0, 1, *2 + across]]
    behind = np.full((3, 1), 3 + max(rows, columns))
    return [[5, 6], view, [7]], np.concatenate([places, behind], axis=1).astype(np.int32)


def generated(model: LanguageModel) -> Iterator[int]:
    for token in model.generate(Sampling(), max_tokens=TOKENS + 1):
        model.announce(token)
        yield token


def take(tokens: Iterator[int], count: int) -> list[int]:
    return [next(tokens) for _ in range(count)]


def begin(model: LanguageModel, rows: int, columns: int) -> Iterator[int]:
    model.clear()
    model.prefill(*prompt(model, rows, columns))
    return generated(model)


def test_answers_beside_each_other_are_those_of_each_alone(models: tuple[LanguageModel, ...]) -> None:
    """Each has taken other numbers of positions, and its tokens go on behind them."""
    shapes = ((2, 3), (4, 2))
    alone = [take(begin(model, *shape), TOKENS) for model, shape in zip(models, shapes, strict=True)]
    beside = [begin(model, *shape) for model, shape in zip(models, shapes, strict=True)]
    found = [take(tokens, 1) for tokens in beside]
    for _ in range(TOKENS - 1):
        for tokens, one in zip(found, beside, strict=True):
            tokens.append(next(one))
    assert found == alone


def test_a_restored_conversation_goes_on_behind_its_canvas(models: tuple[LanguageModel, ...]) -> None:
    model, other = models
    tokens = begin(model, 3, 3)
    *_, newest = take(tokens, 3)  # the newest is not read yet
    place, state = model.position, model.save(whole=True)
    expected = take(tokens, 5)
    model.clear()
    model.prefill([[9, 9, 9]])
    model.restore(state)
    assert model.position == place
    other.clear()
    other.restore(state)
    for one in (model, other):
        one.prefill([[newest]])
        assert take(generated(one), 5) == expected


def test_where_an_image_s_tokens_lie_changes_what_follows(models: tuple[LanguageModel, ...]) -> None:
    model, _ = models
    chunks, places = prompt(model, 2, 3)
    logits = []
    for positions in (places, places[[0, 2, 1]], places[[1, 0, 2]], None, places):
        model.clear()
        model.prefill(chunks, positions)
        logits.append(model.logits())
    assert np.array_equal(logits[0], logits[-1])
    assert all(np.abs(one - logits[0]).max() > 1e-3 for one in logits[1:-1])
