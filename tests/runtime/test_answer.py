"""An answer as a dict that can be written as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

from pydantic import BaseModel

from uhd_edge import Answer, Plan, Usage
from uhd_edge.runtime.answer import EncodedView

ANSWER = Answer("a cat", "stop", Usage(4, 9, 2, 1), (EncodedView(4, 8, 2),), {"decode": 1.23456, "total": 7.0}, "16x")


class Animal(BaseModel):
    name: str


def test_an_answer_can_be_written_as_json() -> None:
    assert json.loads(json.dumps(ANSWER.to_dict())) == {
        "answer": "a cat",
        "finish_reason": "stop",
        "usage": {
            "vision_tokens": 4,
            "prompt_tokens": 9,
            "completion_tokens": 2,
            "cached_tokens": 1,
            "thinking_tokens": 0,
        },
        "views": [{"rows": 4, "columns": 8, "tokens": 2, "reused": False}],
        "timings_ms": {"decode": 1.235, "total": 7.0},
    }


def test_what_was_chosen_for_a_budget_is_in_it() -> None:
    plan = Plan("16x", 9, 3, 100, 4, 9, 12.34567, 23.45678, within_budget=True)
    shown = json.loads(json.dumps(replace(ANSWER, plan=plan).to_dict()))["plan"]
    assert shown == plan.to_dict()
    assert (shown["mode"], shown["predicted_ms"], shown["upper_ms"]) == ("16x", 12.346, 23.457)
    assert (shown["within_budget"], shown["too_noisy"]) == (True, False)


def test_what_the_text_was_read_into_is_in_it() -> None:
    for parsed in ({"name": "cat"}, Animal(name="cat")):
        assert json.loads(json.dumps(replace(ANSWER, parsed=parsed).to_dict()))["parsed"] == {"name": "cat"}
