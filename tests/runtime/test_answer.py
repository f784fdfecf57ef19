"""An answer as a dict that can be written as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

from pydantic import BaseModel
from support.places import EXAMPLES

from uhd_edge import Answer, Assistant, Plan, Usage, Video
from uhd_edge.runtime.answer import EncodedView
from uhd_edge.runtime.images.loading import load_image

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
        "images": [],
        "timings_ms": {"decode": 1.235, "total": 7.0},
    }


def test_it_says_how_each_image_was_cut_in_the_order_of_the_views() -> None:
    sliced, bench = EXAMPLES / "sliced.jpg", EXAMPLES / "bench.png"
    frames = [load_image(bench)] * 2
    with Assistant(threads=1) as assistant:
        of_two = assistant.ask([sliced, (bench, "4x")], "What?", max_tokens=1)
        with_videos = assistant.ask([Video(frames), sliced, Video(frames)], "What?", max_tokens=1)
        expected = [assistant.encoder.encode(sliced), assistant.encoder.encode(bench, mode="4x")]
    assert [(image.rows, image.columns) for image in of_two.images] == [one.grid for one in expected]
    assert [(image.mode, image.video) for image in of_two.images] == [("16x", None), ("4x", None)]
    assert of_two.views == tuple(view for one in expected for view in one.views)
    assert expected[0].grid == (3, 3)
    assert [image.video for image in with_videos.images] == [0, 0, None, 1, 1]
    assert {(image.rows, image.columns) for image in with_videos.images} == {(0, 0)}
    assert json.loads(json.dumps(of_two.to_dict()))["images"][0] == {
        "rows": 3,
        "columns": 3,
        "mode": "16x",
        "video": None,
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
