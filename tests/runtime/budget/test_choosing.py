"""Choosing a way to look: as if all were laid out, but with few prompts laid out, and their time counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.budget.costs import COSTS, SPREAD

from uhd_edge.runtime.answer import Plan
from uhd_edge.runtime.budget.choosing import Chosen, Expected, choose_plan, choose_way, count_time
from uhd_edge.runtime.budget.planning import list_plans
from uhd_edge.runtime.budget.ways import Plans, Way
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.conversation.request import Budget, Request
from uhd_edge.runtime.conversation.turns import Conversation, NewImage, Question, Turn
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.modes import Mode

MODES: tuple[Mode, ...] = ("16x", "4x")


def about(*images: NewImage, turns: int = 0, drop_oldest: bool = False, max_slices: int | None = None) -> Question:
    request = Request(images=(), question="Why?", sampling=Sampling(), max_tokens=16, mode="16x", max_slices=max_slices)
    earlier = (Turn("What is there? " * 6, "A table. " * 4),) * turns
    return Question(request, images, Conversation(earlier, drop_oldest=drop_oldest))


def picture(width: int, height: int, mode: Mode | None = None) -> NewImage:
    return NewImage(Image.new("RGB", (width, height)), mode=mode)


def choose(plans: Plans, budget_ms: float, spent: Callable[[], float] = lambda: 0.0) -> Chosen | None:
    return choose_way(plans, plans.ways(), Expected.of(spent(), Budget(budget_ms, MODES), SPREAD), spent)


@pytest.fixture
def laid_out(monkeypatch: pytest.MonkeyPatch) -> list[Way]:
    """The ways whose prompts are laid out, as they are."""
    ways: list[Way] = []
    plan = Plans.plan

    def watched(plans: Plans, way: Way) -> Plan | None:
        ways.append(way)
        return plan(plans, way)

    monkeypatch.setattr(Plans, "plan", watched)
    return ways


@settings(max_examples=80, deadline=None)
@given(
    images=st.lists(
        st.builds(picture, st.integers(40, 2000), st.integers(40, 2000), st.sampled_from([None, *MODES])), max_size=3
    ),
    turns=st.integers(0, 12),
    drop_oldest=st.booleans(),
    max_slices=st.one_of(st.none(), st.integers(1, 12)),
    spent_ms=st.floats(0, 60),
    budget_ms=st.floats(1, 400),
    in_memory=st.integers(0, 400),
)
def test_the_way_that_is_chosen_has_the_plan_that_would_be_chosen_of_all(
    *,
    bundle: Bundle,
    model: LanguageModel,
    images: list[NewImage],
    turns: int,
    drop_oldest: bool,
    max_slices: int | None,
    spent_ms: float,
    budget_ms: float,
    in_memory: int,
) -> None:
    question = about(*images, turns=turns, drop_oldest=drop_oldest, max_slices=max_slices)
    listed = list_plans(question, COSTS, bundle.manifest, model, in_memory=in_memory)
    expected = choose_plan(count_time(listed, spent_ms, Budget(budget_ms, MODES), SPREAD))
    chosen = choose(Plans(question, COSTS, bundle.manifest, model, in_memory), budget_ms, lambda: spent_ms)
    assert (None if chosen is None else chosen.plan) == expected


@settings(max_examples=40, deadline=None)
@given(width=st.integers(40, 2000), turns=st.integers(0, 8), drop_oldest=st.booleans(), in_memory=st.integers(0, 400))
def test_no_way_takes_less_than_the_least_it_can(
    *, bundle: Bundle, model: LanguageModel, width: int, turns: int, drop_oldest: bool, in_memory: int
) -> None:
    plans = Plans(
        about(picture(width, 700), turns=turns, drop_oldest=drop_oldest), COSTS, bundle.manifest, model, in_memory
    )
    for way in plans.ways():
        plan = plans.plan(way)
        assert plan is None or plan.predicted_ms >= way.least_ms * (1 - 1e-9)


def test_few_prompts_are_laid_out_where_there_is_little_time(
    bundle: Bundle, model: LanguageModel, laid_out: list[Way]
) -> None:
    plans = Plans(about(picture(1000, 1000)), COSTS, bundle.manifest, model)
    assert len(plans.ways()) > 8
    for budget_ms, most in ((1e9, 5), (60.0, 2), (1.0, 2)):
        laid_out.clear()
        assert choose(plans, budget_ms) is not None
        assert 1 <= len(laid_out) <= most


def test_no_prompt_is_laid_out_twice_where_none_fits(bundle: Bundle, model: LanguageModel, laid_out: list[Way]) -> None:
    plans = Plans(about(*[picture(1000, 1000)] * 30), COSTS, bundle.manifest, model)
    assert choose(plans, 1e9) is None
    assert len(laid_out) == len(plans.ways())


def test_the_time_that_laying_out_takes_is_counted(bundle: Bundle, model: LanguageModel, laid_out: list[Way]) -> None:
    plans = Plans(about(picture(1000, 1000)), COSTS, bundle.manifest, model)
    quick = choose(plans, 200.0)
    laid_out.clear()
    slow = choose(plans, 200.0, lambda: 60.0 * len(laid_out))
    assert quick is not None
    assert slow is not None
    assert slow.spent_ms == 60.0 * len(laid_out) > 0
    assert slow.plan.views < quick.plan.views
    expected = Expected.of(slow.spent_ms, Budget(200.0, MODES), SPREAD)
    assert slow.plan.predicted_ms == pytest.approx(expected.usual_ms(slow.work_ms))
    assert slow.plan.within_budget == (expected.upper_ms(slow.work_ms) <= 200.0)
