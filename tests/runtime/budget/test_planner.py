from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.budget.cost_book import CostBook
from uhd_edge.runtime.budget.costs import CostModel, PromptCosts, SlicingCosts, VisionCosts
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Manifest
from uhd_edge.runtime.errors import AnswerError, ContextError, EngineUnavailableError

QUESTION = "How many circles are there?"
GENEROUS = 2e9  # milliseconds; so that it is enough on any machine, however busy


@pytest.fixture(scope="module")
def assistant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with Assistant(context=1024) as opened:
            opened.measure()
            yield opened


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.effect_mandelbrot((640, 480), (-2.0, -1.5, 1.0, 1.5), 30).convert("RGB")


def test_without_a_budget_nothing_is_planned(assistant: Assistant, picture: Image.Image) -> None:
    assert assistant.ask(picture, QUESTION, max_tokens=1).plan is None


def test_a_generous_budget_sees_everything_in_the_finest_mode(assistant: Assistant, picture: Image.Image) -> None:
    answer = assistant.ask(picture, QUESTION, max_tokens=1, budget_ms=GENEROUS)
    assert answer.plan is not None
    assert answer.plan.within_budget
    assert (answer.plan.mode, answer.plan.views) == ("4x", 7) == (answer.mode, len(answer.views))
    assert answer.plan.vision_tokens == answer.usage.vision_tokens
    assert answer.plan.prompt_tokens == answer.usage.prompt_tokens


def test_a_budget_that_cannot_be_kept_gives_the_quickest_plan_and_says_so(
    assistant: Assistant, picture: Image.Image
) -> None:
    answer = assistant.ask(picture, QUESTION, max_tokens=1, budget_ms=0.01)
    assert answer.plan is not None
    assert answer.plan.within_budget is False
    assert answer.plan.predicted_ms > 0.01
    assert len(answer.views) == 1


def test_a_budget_leaves_an_image_the_mode_of_its_own(assistant: Assistant, picture: Image.Image) -> None:
    small = picture.resize((320, 240))
    answer = assistant.ask([(picture, "16x"), small], QUESTION, max_tokens=1, budget_ms=GENEROUS)
    assert answer.plan is not None
    assert answer.mode == "4x"
    assert (answer.plan.views, answer.plan.vision_tokens) == (len(answer.views), answer.usage.vision_tokens)
    first, last = answer.views[0], answer.views[-1]
    assert (first.rows * first.columns // first.tokens, last.rows * last.columns // last.tokens) == (16, 4)


def test_a_question_that_names_its_mode_and_slices_keeps_to_them(assistant: Assistant, picture: Image.Image) -> None:
    plan = assistant.ask(picture, QUESTION, max_tokens=1, budget_ms=GENEROUS, mode="16x", max_slices=2).plan
    assert plan is not None
    assert (plan.mode, plan.max_slices, plan.views) == ("16x", 2, 3)


def test_what_is_planned_is_what_is_answered(assistant: Assistant, picture: Image.Image) -> None:
    planned = assistant.ask(picture, QUESTION, budget_ms=0.01)
    assert planned.plan is not None
    fixed = assistant.ask(picture, QUESTION, mode=planned.plan.mode, max_slices=planned.plan.max_slices)
    assert (planned.text, planned.usage) == (fixed.text, fixed.usage)


def test_a_budget_counts_for_text_alone_too(assistant: Assistant) -> None:
    plan = assistant.ask(None, QUESTION, max_tokens=1, budget_ms=GENEROUS).plan
    assert plan is not None
    assert (plan.views, plan.vision_tokens) == (0, 0)


def test_images_that_do_not_fit_at_all_are_refused_as_without_a_budget(
    assistant: Assistant, picture: Image.Image
) -> None:
    with pytest.raises(ContextError, match="use fewer images"):
        assistant.ask([picture] * 80, QUESTION, budget_ms=500)


def test_the_table_of_plans_is_what_a_budget_chooses_from(assistant: Assistant, picture: Image.Image) -> None:
    listed = assistant.plans(picture, QUESTION)
    chosen = assistant.ask(picture, QUESTION, max_tokens=1, budget_ms=GENEROUS).plan
    assert chosen is not None
    assert (chosen.mode, chosen.max_slices) in {(plan.mode, plan.max_slices) for plan in listed}
    assert {plan.within_budget for plan in listed} == {None}
    assert {plan.mode for plan in assistant.plans(picture, QUESTION, mode="4x")} == {"4x"}
    assert {plan.within_budget for plan in assistant.plans(picture, QUESTION, budget_ms=1e-3)} == {False}


def test_every_question_with_a_budget_tells_how_long_it_took(
    picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    costs = CostModel(VisionCosts(0, 1.0, 0), SlicingCosts(0, 0), PromptCosts(1.0, 0, 0), 14)
    monkeypatch.setattr(CostBook, "costs", lambda *_: costs)
    monkeypatch.setattr(CostBook, "learn", lambda _, __, ratio: told.append(ratio))
    with Assistant(context=1024, threads=1) as assistant:
        assistant.ask(picture, QUESTION, max_tokens=1)
        assert told == []
        first = assistant.ask(picture.rotate(90), QUESTION, max_tokens=1, budget_ms=GENEROUS, mode="16x", max_slices=1)
        (ratio,) = told
        assert first.plan is not None
        assert 0 < ratio * first.plan.patches <= first.timings_ms["first_token"]
        again = assistant.ask(picture.rotate(90), QUESTION, max_tokens=1, budget_ms=GENEROUS, mode="16x", max_slices=1)
        assert again.reused_views == len(again.views)
        assert len(told) == 1  # hardly anything was left to do
        partly = assistant.ask(
            [picture.rotate(90), picture.rotate(180)],
            QUESTION,
            max_tokens=1,
            budget_ms=GENEROUS,
            max_slices=1,
            mode="16x",
        )
        assert partly.reused_views == 1
        assert told[1] * first.plan.patches > partly.timings_ms["encoder"]
        stream = assistant.stream(picture.rotate(270), QUESTION, max_tokens=9, budget_ms=GENEROUS)
        next(stream)
        stream.close()
        assert len(told) == 3


def test_in_a_session_the_turns_before_count(assistant: Assistant, picture: Image.Image) -> None:
    with assistant.session(picture) as session:
        first = session.ask(QUESTION, max_tokens=4, budget_ms=GENEROUS)
        again = session.ask(QUESTION, max_tokens=4, budget_ms=GENEROUS)
        assert first.plan is not None
        assert again.plan is not None
        assert again.plan.prompt_tokens == again.usage.prompt_tokens > first.plan.prompt_tokens
        assert (again.plan.views, again.plan.vision_tokens) == (0, 0)


def test_in_a_session_that_is_nearly_full_an_image_is_seen_as_finely_as_there_is_room(
    assistant: Assistant, picture: Image.Image
) -> None:
    filling = "Is there a circle on the table? " * 60
    with assistant.session() as session:
        session.ask(filling, max_tokens=4)
        assert len(session.ask(QUESTION, images=picture, max_tokens=4, budget_ms=GENEROUS).views) == 7
        with pytest.raises(ContextError):
            session.ask(QUESTION, images=picture, max_tokens=4, mode="4x")


def test_turns_that_are_dropped_make_room_in_a_plan_too(assistant: Assistant, picture: Image.Image) -> None:
    with assistant.session(drop_oldest=True) as session:
        session.ask("Is there a circle on the table? " * 70, max_tokens=4)
        answer = session.ask(QUESTION, images=picture, max_tokens=4, budget_ms=GENEROUS, mode="4x")
        assert answer.plan is not None
        assert (answer.dropped_turns, answer.plan.views) == (1, 7)
        assert answer.plan.prompt_tokens == answer.usage.prompt_tokens


def test_what_a_session_has_in_memory_takes_no_time_and_what_was_lost_does(
    picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens_alone = CostModel(VisionCosts(0, 0, 0), SlicingCosts(0, 0), PromptCosts(0, 10.0, 0), 14)
    monkeypatch.setattr(CostBook, "costs", lambda *_: tokens_alone)
    monkeypatch.setattr(CostBook, "learn", lambda *_: None)
    with Assistant(context=1024, session_bytes=0) as forgetful:
        with forgetful.session(picture) as session:
            session.ask(QUESTION * 30, max_tokens=1)
            known = session.ask(QUESTION, max_tokens=1, budget_ms=GENEROUS)
            forgetful.ask(None, QUESTION, max_tokens=1)
            lost = session.ask(QUESTION, max_tokens=1, budget_ms=GENEROUS)
        assert known.usage.cached_tokens > 0 == lost.usage.cached_tokens
        assert known.plan is not None
        assert lost.plan is not None
        assert lost.plan.predicted_ms > 1.5 * known.plan.predicted_ms


def without_a_graph(bundle: Bundle) -> Bundle:
    """The bundle without FP16 graphs for 4x."""
    graphs = {**bundle.manifest.graphs, "4x": {"fp32": bundle.manifest.graphs["4x"]["fp32"]}}
    return Bundle(bundle.path, Manifest.model_validate(bundle.manifest.model_dump() | {"graphs": graphs}))


def test_a_mode_that_cannot_run_here_is_not_planned(
    picture: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Assistant(without_a_graph(Bundle.open()), precision="fp16", mode="16x") as assistant:
        plan = assistant.ask(picture, QUESTION, max_tokens=1, budget_ms=GENEROUS).plan
        assert plan is not None
        assert plan.mode == "16x"
        with pytest.raises(EngineUnavailableError, match="fp16"):
            assistant.ask(picture, QUESTION, budget_ms=GENEROUS, mode="4x")


def test_measuring_ends_a_stream_that_is_open_instead_of_falsifying_it(
    picture: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Assistant(context=1024) as unmeasured:
        stream = unmeasured.stream(picture, QUESTION, max_tokens=16)
        next(stream)
        unmeasured.plans(picture, QUESTION, mode="16x")
        with pytest.raises(AnswerError, match="another question was asked"):
            next(stream)
        whole = unmeasured.ask(picture, QUESTION, max_tokens=16).text
        stream = unmeasured.stream(picture, QUESTION, max_tokens=16)
        beginning = next(stream)
        unmeasured.plans(picture, QUESTION, mode="16x")  # known by now, so the stream is left alone
        assert beginning + "".join(stream) == whole
