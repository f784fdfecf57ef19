"""What questions really took is learned, stored beside the costs, and says when they are outdated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from uhd_edge.runtime.budget import cost_book, cost_measuring
from uhd_edge.runtime.budget.cost_book import STORED_EVERY, CostBook
from uhd_edge.runtime.budget.cost_store import ENOUGH_QUESTIONS
from uhd_edge.runtime.budget.costs import CostModel, PromptCosts, SlicingCosts, VisionCosts
from uhd_edge.runtime.budget.spread import Spread
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.vision.encoder import VisionEncoder

MEASURED = Spread((1.2, 1.0, 0.9))


@pytest.fixture
def costs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "uhd-edge" / "costs"


@pytest.fixture
def open_book(costs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], CostBook]]:
    """Books of one machine, as programs open them one after the other; each measuring costs one more."""
    measured: list[CostModel] = []

    def measure(*_: object) -> tuple[CostModel, Spread]:
        cost = 1.0 + len(measured)
        measured.append(CostModel(VisionCosts(cost, 0, 0), SlicingCosts(0, 0), PromptCosts(0, 0, 0), 14))
        return measured[-1], MEASURED

    monkeypatch.setattr(cost_measuring, "measure_costs", measure)
    monkeypatch.setattr(cost_measuring, "check_costs", lambda *_: [1.1])
    bundle = Bundle.open()
    with VisionEncoder(bundle, threads=1) as encoder, LanguageModel(bundle.llm_path, threads=1) as model:
        yield lambda: CostBook(encoder, model, threads=1)


def stored_questions(costs_folder: Path) -> list[float]:
    (file,) = costs_folder.iterdir()
    questions: list[float] = json.loads(file.read_text())["questions"]
    return questions


def test_a_machine_that_was_measured_is_looked_at_again_by_every_program(open_book: Callable[[], CostBook]) -> None:
    first = open_book()
    first.costs("16x")
    assert first.spread == MEASURED
    second = open_book()
    second.costs("16x")
    assert second.spread == Spread((*MEASURED.ratios, 1.1))


def test_what_questions_took_is_known_to_the_next_program(
    open_book: Callable[[], CostBook], costs_folder: Path
) -> None:
    book = open_book()
    book.costs("16x")
    book.learn("16x", 1.4)
    assert book.spread.ratios == (*MEASURED.ratios, 1.4)
    assert stored_questions(costs_folder) == []
    book.store()
    assert stored_questions(costs_folder) == [1.4]
    following = open_book()
    following.costs("16x")
    assert following.spread.ratios == (*MEASURED.ratios, 1.4, 1.1)


def test_a_program_that_is_killed_forgets_few_questions(open_book: Callable[[], CostBook], costs_folder: Path) -> None:
    book = open_book()
    book.costs("16x")
    for _ in range(STORED_EVERY + 1):
        book.learn("16x", 1.0)
    assert stored_questions(costs_folder) == [1.0] * STORED_EVERY


def test_what_was_learned_of_older_costs_is_not_stored_with_newer_ones(
    open_book: Callable[[], CostBook], costs_folder: Path
) -> None:
    older = open_book()
    older.costs("16x")
    next(costs_folder.iterdir()).unlink()
    open_book().costs("16x")
    older.learn("16x", 1.4)
    older.store()
    assert stored_questions(costs_folder) == []


@pytest.mark.parametrize(
    ("ratio", "count", "again"),
    [
        (1.9, ENOUGH_QUESTIONS, True),
        (0.5, ENOUGH_QUESTIONS, True),
        (1.9, ENOUGH_QUESTIONS - 1, False),
        (1.2, 40, False),
    ],
)
def test_a_machine_that_has_changed_is_measured_again_by_the_next_program(
    open_book: Callable[[], CostBook], costs_folder: Path, ratio: float, count: int, again: bool
) -> None:
    book = open_book()
    before = book.costs("16x")
    for _ in range(count):
        book.learn("16x", ratio)
    book.store()
    said: list[str] = []
    assert (open_book().costs("16x", said.append) != before) == again
    if again:
        assert said == [f"questions take {ratio:.2f} times what was measured; measuring 16x again"]
        assert stored_questions(costs_folder) == []
    else:
        assert said == []


def test_only_the_latest_questions_of_a_long_run_are_held(
    open_book: Callable[[], CostBook], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost_book, "MOST_RATIOS", 10)
    book = open_book()
    for number in range(30):
        book.learn("16x", 1 + number / 100)
    assert book.spread.ratios == tuple(1 + number / 100 for number in range(20, 30))
