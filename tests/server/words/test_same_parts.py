"""A part has one text, image or video, and a message one course of thoughts: a second one that differs is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.server.asking import asked, chat, ollama_chat, responses

from uhd_edge.server.errors import ApiError

X, Y = "data:;base64,AAAA", "data:;base64,BBBB"
FILM = {"type": "video_url", "video_url": {"url": X}}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (
            {"type": "image_url", "image_url": {"url": X}, "image": Y},
            "content.0.image and messages.0.content.0.image_url",
        ),
        (
            {"type": "image", "image": X, "source": {"data": Y}},
            "content.0.source and messages.0.content.0.image contra",
        ),
        (
            {"type": "image_url", "image_url": {"url": X, "data": Y}},
            "image_url.data and messages.0.content.0.image_url.u",
        ),
        ({"image_url": X, "url": Y}, "content.0.url and messages.0.content.0.image_url contradict"),
        (
            {"type": "image_url", "image_url": {"url": X, "detail": "low"}, "detail": "high"},
            "image_url.detail and mess",
        ),
        ({"type": "image_url", "image_url": {"url": X, "mode": "4x"}, "mode": "16x"}, "image_url.mode and messages.0"),
        ({**FILM, "video": Y}, "content.0.video and messages.0.content.0.video_url contradict"),
        ({**FILM, "frames": [X, Y]}, "content.0.frames and messages.0.content.0.video_url contradict"),
        ({"type": "video", "video": {"frames": [X, Y], "url": Y}}, "video.url and messages.0.content.0.video.frames"),
        ({**FILM, "fps": 2, "video": {"url": X, "fps": 3}}, "content.0.video.fps and messages.0.content.0.fps contra"),
        ({**FILM, "max_frames": 4, "nframes": 8}, "content.0.nframes and messages.0.content.0.max_frames contradict"),
        ({**FILM, "video_url": {"url": X, "num_frames": 2}, "max_frames": 4}, "video_url.num_frames and messages.0"),
        (
            {"type": "text", "text": "x", "image_url": {"url": X}},
            "content.0.image_url is in a part of the type text; send",
        ),
        (
            {"type": "image_url", "image_url": {"url": X}, "text": "x"},
            "content.0.text is in a part of the type image_url; send each",
        ),
        (
            {"type": "image", "image": X, "video": Y},
            "content.0.video is in a part of the type image; send each in a part",
        ),
        ({"text": "x", "image": X}, "content.0.image is in a part of the type text; send each in a part of its own"),
    ],
)
def test_a_part_with_two_contents_is_refused(part: dict[str, Any], said: str) -> None:
    with pytest.raises(ApiError, match=re.escape(said)) as refused:
        asked(chat, messages=[{"role": "user", "content": [part, "What?"]}])
    assert str(refused.value).startswith("messages.0.content.0")
    assert str(refused.value.param).startswith("messages.0.content.0.")
    with pytest.raises(ApiError, match=r"^input\.0\.content\.0"):
        asked(responses, input=[{"role": "user", "content": [part, "What?"]}])


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": X}, "image": X, "text": None, "video": None},
        {"type": "image", "image": X, "url": None, "source": {"type": "base64", "data": X, "url": None}},
        {"type": "image_url", "image_url": {"url": None, "data": X}, "text": None},
        {"type": "image_url", "image_url": {"url": X, "detail": "low"}, "detail": "low"},
    ],
)
def test_a_part_may_say_the_same_twice(part: dict[str, Any]) -> None:
    question = asked(chat, messages=[{"role": "user", "content": [part]}])
    assert ([one.urls for one in question.media], question.ignored) == ([(X,)], ())


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ({"type": "image_url", "image_url": X, "max_pixels": "9"}, "max_pixels"),
        ({"type": "input_image", "image_url": X, "detail": 5}, "detail"),
        ({"type": "image_url", "image_url": {"url": X, "max_pixels": "9"}}, "image_url.max_pixels"),
        ({**FILM, "fps": "2"}, "fps"),
    ],
)
def test_a_wish_of_a_wrong_type_is_named_where_it_stands(part: dict[str, Any], name: str) -> None:
    for dialect, turns in ((chat, "messages"), (responses, "input")):
        with pytest.raises(ApiError) as refused:
            asked(dialect, **{turns: [{"role": "user", "content": [part, {"type": "text", "text": "?"}]}]})
        assert refused.value.param == f"{turns}.0.content.0.{name}"


def test_thoughts_that_contradict_each_other_are_refused() -> None:
    def turns(**said: Any) -> list[dict[str, Any]]:
        return [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "y", **said},
            {"role": "user", "content": "z"},
        ]

    for said in ({"reasoning": "A", "reasoning_content": "A"}, {"reasoning_content": "", "thinking": "A"}):
        assert asked(chat, messages=turns(**said)).messages[1].thinking == "A"
    for dialect, first in ((chat, "reasoning"), (ollama_chat, "thinking")):
        said = {first: "B", "reasoning_content": "A"}
        with pytest.raises(ApiError, match=rf"^messages\.1\.{first} and messages\.1\.reasoning_content contradict"):
            asked(dialect, messages=turns(**said))
    with pytest.raises(ApiError, match=r"^messages\.1\.reasoning: it must be text"):
        asked(chat, messages=turns(reasoning=5))


THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "A"}]}


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_thoughts_of_an_item_and_of_its_message_agree(name: str) -> None:
    what = {"role": "user", "content": "What?"}
    for said in ("A", "", None):
        answer = {"role": "assistant", "content": "y", name: said}
        question = asked(responses, input=[what, THOUGHT, answer, what])
        assert (question.messages[1].thinking, question.ignored) == ("A", ())
    with pytest.raises(ApiError, match=rf"^input\.2\.{name} and input\.1\.summary contradict") as refused:
        asked(responses, input=[what, THOUGHT, {"role": "assistant", "content": "y", name: "B"}, what])
    assert refused.value.param == f"input.2.{name}"
    nothing = {"type": "reasoning", "summary": []}
    answer = {"role": "assistant", "content": "y", name: "B"}
    assert asked(responses, input=[what, nothing, answer, what]).messages[1].thinking == "B"
    with pytest.raises(ApiError, match=rf"^input\.2\.{name}: it must be text"):
        asked(responses, input=[what, nothing, {**answer, name: 5}, what])


def test_what_an_item_has_besides_is_named() -> None:
    what = {"role": "user", "content": "What?"}
    item = {**THOUGHT, "id": "rs_1", "status": None, "encrypted_content": "x", "weight": 5}
    call = {"type": "function_call", "call_id": "1", "name": "go", "arguments": "{}", "status": "completed", "tag": "x"}
    output = {"type": "function_call_output", "call_id": "1", "output": "done", "error": True}
    assert asked(responses, input=[what, item, call, output]).ignored == (
        "input[].weight",
        "input[].tag",
        "input[].error",
    )


def test_two_pictures_of_a_part_are_refused_before_either_is_looked_at() -> None:
    with pytest.raises(ApiError, match="contradict each other"):
        asked(chat, messages=[{"role": "user", "content": [{"type": "image", "image": "a.png", "url": "b.png"}]}])
