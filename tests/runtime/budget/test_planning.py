from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.budget.costs import COSTS, SPREAD

from uhd_edge.runtime.answer import Plan
from uhd_edge.runtime.budget.choosing import choose_plan, count_time
from uhd_edge.runtime.budget.planning import list_plans
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.conversation.request import Budget, Request
from uhd_edge.runtime.conversation.turns import Conversation, NewImage, Question, Turn
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.vision.encoder import VisionEncoder


def about(*sizes: tuple[int, int], max_slices: int = 9, turns: tuple[Turn, ...] = ()) -> Question:
    request = Request(images=(), question="Why?", sampling=Sampling(), max_tokens=16, mode="16x", max_slices=max_slices)
    new = [NewImage(Image.new("RGB", size)) for size in sizes]
    return Question(request, new, Conversation(turns))


def plans(
    bundle: Bundle, model: LanguageModel, *sizes: tuple[int, int], budget_ms: float | None = None, max_slices: int = 9
) -> list[Plan]:
    question = about(*sizes, max_slices=max_slices)
    budget = None if budget_ms is None else Budget(budget_ms, ("16x", "4x"))
    return count_time(list_plans(question, COSTS, bundle.manifest, model), 0.0, budget, SPREAD)


def test_every_plan_has_the_views_and_tokens_that_encoding_gives(bundle: Bundle, model: LanguageModel) -> None:
    listed = plans(bundle, model, (640, 480))
    assert {plan.mode for plan in listed} == {"16x", "4x"}
    with VisionEncoder(bundle) as encoder:
        for plan in listed:
            frame = bytes_of_grey(640, 480)
            seen = encoder.encode(frame, mode=plan.mode, max_slices=plan.max_slices)
            assert (plan.views, plan.vision_tokens) == (len(seen.views), len(seen.embeddings))
            assert plan.patches == sum(view.rows * view.columns for view in seen.views)
            assert plan.prompt_tokens > plan.vision_tokens


def bytes_of_grey(width: int, height: int) -> object:
    from PIL import Image

    return Image.new("RGB", (width, height), "grey")


def test_plans_that_would_see_the_same_are_listed_once(bundle: Bundle, model: LanguageModel) -> None:
    listed = plans(bundle, model, (200, 200))
    assert [(plan.mode, plan.max_slices, plan.views) for plan in listed] == [("16x", 1, 1), ("4x", 1, 1)]


def test_plans_that_do_not_fit_into_the_context_are_left_out(bundle: Bundle, model: LanguageModel) -> None:
    listed = plans(bundle, model, (1000, 1000))
    assert max(plan.prompt_tokens for plan in listed) < model.context == 512
    assert any(plan.views == 10 for plan in listed if plan.mode == "16x")
    assert not any(plan.views == 10 for plan in listed if plan.mode == "4x")


def test_nothing_fits_when_the_images_are_too_many(bundle: Bundle, model: LanguageModel) -> None:
    assert choose_plan(plans(bundle, model, *[(224, 224)] * 30)) is None


def test_a_thin_image_has_plans_from_as_many_slices_as_it_takes(bundle: Bundle, model: LanguageModel) -> None:
    listed = plans(bundle, model, (224 * 9, 8))
    assert listed
    assert all(plan.patches > 0 for plan in listed)


def test_no_more_slices_are_planned_than_are_allowed(bundle: Bundle, model: LanguageModel) -> None:
    assert max(plan.max_slices for plan in plans(bundle, model, (1000, 1000), max_slices=4)) == 4


@settings(deadline=None, max_examples=60)
@given(width=st.integers(50, 1200), height=st.integers(50, 1200), budget_ms=st.floats(1, 400, allow_nan=False))
def test_the_choice_sees_most_of_what_keeps_within_the_budget(
    bundle: Bundle, model: LanguageModel, width: int, height: int, budget_ms: float
) -> None:
    listed = plans(bundle, model, (width, height), budget_ms=budget_ms)
    chosen = choose_plan(listed)
    assert chosen is not None
    within = [plan for plan in listed if plan.upper_ms <= budget_ms]
    assert chosen.within_budget == bool(within)
    if within:
        assert chosen.predicted_ms <= chosen.upper_ms <= budget_ms
        assert all((plan.views, plan.vision_tokens) <= (chosen.views, chosen.vision_tokens) for plan in within)
    else:
        assert chosen.predicted_ms == min(plan.predicted_ms for plan in listed)


def test_what_the_question_has_taken_already_counts(bundle: Bundle, model: LanguageModel) -> None:
    listed = list_plans(about((640, 480)), COSTS, bundle.manifest, model)
    fresh, late = (count_time(listed, spent, Budget(100, ("16x",)), SPREAD) for spent in (0.0, 50.0))
    assert [plan.predicted_ms + 50 for plan in fresh] == pytest.approx([plan.predicted_ms for plan in late])
    assert [plan.upper_ms + 50 for plan in fresh] == pytest.approx([plan.upper_ms for plan in late])


def test_times_are_as_long_as_those_of_the_latest_questions(bundle: Bundle, model: LanguageModel) -> None:
    listed = list_plans(about((640, 480)), COSTS, bundle.manifest, model)
    counted = count_time(listed, 0.0, None, SPREAD)
    assert [plan.predicted_ms for plan in counted] == [SPREAD.usual() * plan.predicted_ms for plan in listed]
    assert [plan.upper_ms for plan in counted] == [SPREAD.upper(0.95) * plan.predicted_ms for plan in listed]
    half = count_time(listed, 0.0, Budget(100, ("16x",), 0.5), SPREAD)
    assert all(one.upper_ms < other.upper_ms for one, other in zip(half, counted, strict=True))


def test_a_budget_that_only_the_usual_time_keeps_is_not_promised(bundle: Bundle, model: LanguageModel) -> None:
    (quickest, *_) = plans(bundle, model, (200, 200))
    between = (quickest.predicted_ms + quickest.upper_ms) / 2
    for budget_ms, within, too_noisy in (
        (quickest.upper_ms, True, False),
        (between, False, True),
        (quickest.predicted_ms - 0.01, False, False),
    ):
        chosen = choose_plan(plans(bundle, model, (200, 200), budget_ms=budget_ms))
        assert chosen is not None
        assert (chosen.within_budget, chosen.too_noisy) == (within, too_noisy)


def test_without_a_budget_the_most_is_seen(bundle: Bundle, model: LanguageModel) -> None:
    chosen = choose_plan(plans(bundle, model, (640, 480)))
    assert chosen is not None
    assert chosen.within_budget is None
    assert chosen.views == 7


def test_the_most_slices_there_may_be_make_no_more_work_than_there_is(bundle: Bundle, model: LanguageModel) -> None:
    listed = plans(bundle, model, (640, 480), max_slices=2**31 - 1)
    assert listed == plans(bundle, model, (640, 480), max_slices=100)


def test_earlier_turns_take_room_and_what_is_in_memory_of_them_takes_no_time(
    bundle: Bundle, model: LanguageModel
) -> None:
    turns = (Turn("What is there? " * 60, "A table. " * 20),)

    def planned(question: Question, in_memory: int = 0) -> list[Plan]:
        return list_plans(question, {"16x": COSTS["16x"]}, bundle.manifest, model, in_memory=in_memory)

    alone = planned(about((1000, 1000)))
    later = planned(about((1000, 1000), turns=turns))
    known = planned(about((1000, 1000), turns=turns), in_memory=100)
    assert later[0].prompt_tokens > alone[0].prompt_tokens + 100
    assert later[0].vision_tokens == alone[0].vision_tokens
    assert max(plan.prompt_tokens for plan in later) < model.context
    assert max(plan.views for plan in later) < max(plan.views for plan in alone)
    saved = [one.predicted_ms - other.predicted_ms for one, other in zip(later, known, strict=True)]
    assert saved == pytest.approx([100 * 0.1] * len(later))


def test_an_image_with_a_mode_of_its_own_costs_what_that_mode_does(bundle: Bundle, model: LanguageModel) -> None:
    question = about((640, 480), (300, 200), max_slices=1)
    own = replace(question, images=[replace(question.images[0], mode="4x"), question.images[1]])
    (mixed,) = list_plans(own, COSTS, bundle.manifest, model, modes=["16x"])
    (fine,), (coarse,) = (plan.views for plan in own.plan_slices(bundle.manifest.preprocessing))
    rows, columns = zip(fine, coarse, strict=True)
    patches = [rows[0] * columns[0], rows[1] * columns[1]]
    assert mixed.vision_tokens == patches[0] // 4 + patches[1] // 16
    pixels = 5.0 * (640 * 480 + 300 * 200) / 1e6 + 1.0 * sum(patches) * 14**2 / 1e6
    runs = 2 * 1.0 + patches[0] * 0.08 + patches[1] * 0.04
    assert mixed.predicted_ms == pytest.approx(pixels + runs + 1.0 + 0.1 * mixed.prompt_tokens)
