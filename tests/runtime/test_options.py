"""The settings of a question, where they come in."""

from __future__ import annotations

from typing import Any

import pytest

from uhd_edge.runtime.conversation.request import Budget
from uhd_edge.runtime.errors import OptionError, PromptError
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.options import AskOptions, check_options, parse_request


def test_what_is_not_set_keeps_its_default() -> None:
    request = parse_request(None, "What?", {}, mode="4x", modes=("16x", "4x"), max_slices=3)
    assert request.sampling == Sampling()
    assert (request.images, request.question, request.max_tokens) == ((), "What?", 256)
    assert (request.mode, request.max_slices) == ("4x", 3)
    kept = parse_request(
        None, "What?", {"mode": None, "max_slices": None}, mode="4x", modes=("16x", "4x"), max_slices=3
    )
    assert kept == request


def test_what_is_set_arrives() -> None:
    options: AskOptions = {"max_tokens": 5, "temperature": 0.5, "top_k": 7, "top_p": 0.9, "min_p": 0.1}
    options |= {"repetition_penalty": 1.2, "seed": 11, "mode": "16x", "max_slices": 2}
    assert {*options} <= {*AskOptions.__annotations__}
    request = parse_request(["a.png"], "What?", options, mode="4x", modes=("16x", "4x"), max_slices=3)
    assert request.sampling == Sampling(0.5, 7, 0.9, 0.1, 1.2, 11)
    assert (request.images, request.max_tokens, request.mode, request.max_slices) == (("a.png",), 5, "16x", 2)


def test_a_setting_that_does_not_exist_is_a_type_error_that_lists_those_that_do() -> None:
    wrong: Any = {"max_token": 5}
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'max_token'; a question takes max_tokens, "):
        parse_request(None, "What?", wrong, mode="16x", modes=("16x", "4x"), max_slices=None)


@pytest.mark.parametrize(
    "wrong", [{"max_tokens": None}, {"seed": None}, {"temperature": "1"}, {"mode": "8x"}, {"max_slices": 0}]
)
def test_a_value_without_sense_is_one_line(wrong: Any) -> None:
    (name,) = wrong
    with pytest.raises(OptionError, match=rf"^{name} is [^\n]*$"):
        parse_request(None, "What?", wrong, mode="16x", modes=("16x", "4x"), max_slices=None)


def test_a_question_is_a_string() -> None:
    question: Any = 5
    with pytest.raises(PromptError, match="the question is int"):
        parse_request(None, question, {}, mode="16x", modes=("16x", "4x"), max_slices=None)


def test_a_budget_may_be_kept_in_any_mode_unless_one_is_named() -> None:
    def budget_of(options: AskOptions) -> Budget | None:
        return parse_request(None, "What?", options, mode="16x", modes=("16x", "4x"), max_slices=None).budget

    assert budget_of({}) is None
    assert budget_of({"budget_ms": None}) is None
    assert budget_of({"budget_ms": 500}) == Budget(500.0, ("16x", "4x"), 0.95)
    assert budget_of({"budget_ms": 500, "budget_share": 0.5}) == Budget(500.0, ("16x", "4x"), 0.5)
    assert budget_of({"budget_ms": 0.5, "mode": "4x"}) == Budget(0.5, ("4x",))


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), "500", True])
def test_a_budget_that_is_no_time_is_refused(wrong: float) -> None:
    with pytest.raises(OptionError, match=r"budget_ms is .*; it must be a number"):
        parse_request(None, "What?", {"budget_ms": wrong}, mode="16x", modes=("16x", "4x"), max_slices=None)


def test_settings_can_be_checked_without_a_question() -> None:
    settings = check_options({"seed": 3, "stop": "."}, mode="4x", max_slices=2)
    request = parse_request(None, "What?", {"seed": 3, "stop": "."}, mode="4x", modes=("4x",), max_slices=2)
    assert {name: getattr(request, name) for name in vars(settings)} == vars(settings)
    with pytest.raises(OptionError, match=r"^max_tokens is 0; "):
        check_options({"max_tokens": 0})


@pytest.mark.parametrize("wrong", [0, 0.49, 1, 95, float("nan"), "0.9", None])
def test_a_share_that_no_promise_can_have_is_refused_without_a_budget_too(wrong: float) -> None:
    with pytest.raises(OptionError, match=r"budget_share is .*from 0.5 to 0.99"):
        check_options({"budget_share": wrong})
