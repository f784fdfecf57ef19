"""What an answer took: tokens, views, and in which stage the time went."""

from __future__ import annotations

from typing import Any

import pytest
from support.images.squares import picture

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime import timing as stages
from uhd_edge.runtime.budget.cost_book import CostBook
from uhd_edge.runtime.budget.costs import CostModel, PromptCosts, SlicingCosts, VisionCosts
from uhd_edge.runtime.conversation import new_images
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.vocabulary import Vocabulary
from uhd_edge.runtime.prompt.room import PromptInputs
from uhd_edge.runtime.vision import encoder as vision
from uhd_edge.runtime.vision import opening as engine_opening
from uhd_edge.runtime.vision import view_reuse, vision_engines

QUESTION = "What is it?"
STAGES = ["decode", "slice", "open", "cache", "patches", "encoder", "connector"]
STAGES += ["prompt", "prefill", "first_token", "generate", "total"]


def test_an_answer_tells_what_it_took(assistant: Assistant) -> None:
    answer = assistant.ask(picture(), QUESTION, max_tokens=5)
    assert answer.text == answer.text.strip()
    assert answer.finish_reason in ("stop", "length")
    assert 1 <= answer.usage.completion_tokens <= 5
    assert [(view.rows, view.columns, view.tokens) for view in answer.views] == [(8, 12, 6), *[(8, 8, 4)] * 6]
    assert answer.usage.vision_tokens == 30
    assert answer.usage.prompt_tokens > 30 + len(QUESTION) / 2
    assert list(answer.timings_ms) == STAGES
    assert answer.mode == "16x"


def test_timings_add_up(assistant: Assistant) -> None:
    timings = assistant.ask([picture(0), picture(1)], QUESTION, max_tokens=5).timings_ms
    assert all(milliseconds > 0 for stage, milliseconds in timings.items() if stage != "open")
    assert sum(timings[stage] for stage in STAGES[:9]) <= timings["first_token"]
    assert timings["first_token"] + timings["generate"] == pytest.approx(timings["total"])


def test_every_step_is_in_a_stage_and_the_stages_make_up_the_total(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock that stands still but for these steps, which take so many seconds every time."""
    now = [0.0]
    monkeypatch.setattr(stages.time, "perf_counter", lambda: now[0])
    owners: list[tuple[Any, str, float]] = [
        (new_images, "load_image", 1),
        (vision, "slice_image", 2),
        (engine_opening, "open_onnxruntime", 300),
        (view_reuse, "content_key", 3),
        (vision_engines, "make_patches", 5),
        (OnnxRuntimeEngine, "run", 70),
        (PromptInputs, "lay_out", 13),
        (LanguageModel, "prefill_steps", 170),
        (Vocabulary, "token_bytes", 19),
    ]
    for owner, name, seconds in owners:
        monkeypatch.setattr(owner, name, taking(seconds, getattr(owner, name), now))
    with Assistant(bundle, threads=1) as assistant:
        assert assistant.opening_ms["engines"] == 600_000  # encoder and connector
        told = assistant.ask(picture(), QUESTION, max_tokens=2).timings_ms
        assert told["open"] == 0
        other = assistant.ask(picture(), QUESTION, max_tokens=2, mode="4x").timings_ms
        assert other["open"] == 300_000  # the connector was open
    for timings in (told, other):
        assert all(milliseconds > 0 for stage, milliseconds in timings.items() if stage != "open")
        assert timings["total"] == pytest.approx(sum(timings[stage] for stage in STAGES[:9]) + timings["generate"])


def test_measuring_for_a_budget_is_not_the_time_of_the_question(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(stages.time, "perf_counter", lambda: now[0])
    costs = CostModel(VisionCosts(1, 0, 0), SlicingCosts(0, 0), PromptCosts(1, 0, 0), 14)
    measured = iter([500.0, 0.0, 0.0, 0.0])

    def measure(*_: Any) -> CostModel:
        now[0] += next(measured)
        return costs

    monkeypatch.setattr(CostBook, "costs", measure)
    monkeypatch.setattr(LanguageModel, "prefill_steps", taking(17, LanguageModel.prefill_steps, now))
    with Assistant(bundle, threads=1) as assistant:
        timings = assistant.ask(picture(), QUESTION, max_tokens=1, budget_ms=100, mode="16x").timings_ms
    assert timings["first_token"] == timings["total"] == 17_000


def taking(seconds: float, step: Any, now: list[float]) -> Any:
    def slow(*arguments: Any, **options: Any) -> Any:
        now[0] += seconds
        return step(*arguments, **options)

    return slow
