"""Whatever has a wrong type is refused in words of JSON, and at the place where the client wrote it."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.server.asking import TOOL, chat, ollama_chat, ollama_generate, responses

from uhd_edge.server.dialect import AnsweredError
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.server.dialect import Dialect

URI = "data:image/png;base64,AAAA"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
CALL = {"id": "1", "type": "function", "function": {"name": "go", "arguments": "{}"}}
PARTS = [
    {"type": "text", "text": "x"},
    {"type": "image_url", "image_url": {"url": URI, "detail": "low", "mode": "4x", "max_pixels": 900}},
    {"type": "video_url", "video_url": {"url": URI, "fps": 2, "max_frames": 3}},
]
# The same in other words, after a part that says nothing to the model and before which the others move up.
OTHER_FORMS = [
    {"type": "thinking", "thinking": "Hm."},
    {"type": "image", "source": {"type": "base64", "data": URI}, "detail": "low", "max_pixels": 9},
    {"type": "input_image", "image_url": URI, "mode": "4x"},
    {"type": "video", "video": [URI, {"url": URI}, {"type": "image_url", "image_url": {"url": URI}}], "nframes": 2},
    {"type": "video_url", "video_url": {"frames": [URI], "num_frames": 2}},
]
SETTINGS: dict[str, Any] = {
    "temperature": 0.5,
    "top_k": 5,
    "fps": 2,
    "max_pixels": 900,
    "mode": "4x",
    "chat_template_kwargs": {"enable_thinking": True},
    "stream_options": {"include_usage": True},
    "mm_processor_kwargs": {"min_pixels": 4},
}
BODIES: dict[Dialect, dict[str, Any]] = {
    chat: {
        "messages": [
            {"role": "user", "content": PARTS},
            {"role": "user", "content": OTHER_FORMS},
            {"role": "user", "content": {"type": "image", "image": URI, "min_pixels": 4}},
            {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CALL]},
            {"role": "assistant", "refusal": "No."},
            {"role": "tool", "tool_call_id": "1", "content": "done"},
            {"role": "user", "content": "What?"},
        ],
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "go"}},
        "stop": ["x"],
        "max_tokens": 5,
        "logit_bias": {"5": 1},
        "thinking": {"type": "enabled", "budget_tokens": 5},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
        **SETTINGS,
    },
    responses: {
        "instructions": "Look.",
        "input": [
            {"role": "user", "content": [{"type": "input_image", "image_url": URI, "detail": "low"}, *PARTS[2:]]},
            {"role": "user", "content": OTHER_FORMS},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "function_call", "call_id": "1", "name": "go", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "done"}]},
        ],
        "include": ["message.output_text.logprobs"],
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}},
        "tools": [{"type": "function", "name": "go", "parameters": SCHEMA}],
        "truncation": "auto",
        **SETTINGS,
    },
    ollama_chat: {
        "model": "uhd-tiny",
        "messages": [{"role": "user", "content": "What?", "images": [URI]}],
        "tools": [TOOL],
        "think": True,
        "format": SCHEMA,
        "options": {"num_predict": 5, "stop": ["x"], "mode": "4x"},
    },
    ollama_generate: {"model": "uhd-tiny", "prompt": "What?", "system": "x", "images": [URI], "options": {"top_k": 5}},
}
WRONG: list[Any] = [None, -1, 1.5, True, "", "x", [], [None], {}, {"a": {"b": []}}, [[[5]]]]
OF_PYTHON = re.compile(
    r"\b(?:None|True|False|NoneType|int|str|dict|bool|tuple|Input|Extra|Value error|Field required|validation|tag)\b"
    r"|should be|should have|instance of|\b(?:is|are) (?:list|float)\b"
)
NAME = re.compile(r"[a-z_]\w*(?:\.\w+)*")


def mistaken(body: Any, *at: Any) -> Iterator[tuple[str, Any]]:
    """Every place of a body, and the body with something wrong there."""
    inner = body
    for step in at:
        inner = inner[step]
    for step in inner if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ():
        for wrong in WRONG:
            changed = copy.deepcopy(body)
            place = changed
            for one in at:
                place = place[one]
            place[step] = wrong
            yield ".".join(map(str, (*at, step))), changed
        yield from mistaken(body, *at, step)


def stands_in(body: Any, name: str) -> bool:
    """Whether a place is one of a body, or would be one in what the body has around it."""
    *above, last = name.split(".")
    for step in above:
        body = body[int(step)] if isinstance(body, list) else body.get(step) if isinstance(body, dict) else None
    return isinstance(body, dict) or (isinstance(body, list) and last.isdecimal() and int(last) < len(body))


def refusals(dialect: Dialect) -> Iterator[tuple[str, Any, ApiError]]:
    """The place of each mistake that is refused, the body with it, and the error."""
    for place, body in mistaken(BODIES[dialect]):
        try:
            dialect.read(json.dumps(body).encode())
        except AnsweredError:
            continue  # nothing is asked
        except ApiError as error:
            yield place, body, error


@pytest.mark.parametrize("dialect", BODIES)
def test_whatever_has_a_wrong_type_is_refused_in_words_of_json(dialect: Dialect) -> None:
    told = [(place, str(error)) for place, _, error in refusals(dialect)]
    assert len(told) > 30
    assert [one for one in told if OF_PYTHON.search(one[1])] == []


@pytest.mark.parametrize("dialect", BODIES)
def test_an_error_names_a_place_as_the_client_wrote_it(dialect: Dialect) -> None:
    for place, body, error in refusals(dialect):
        assert error.param is not None, (place, str(error))
        assert str(error).startswith(error.param), (place, str(error))
        for named in [error.param, *(one for one in NAME.findall(str(error)) if re.search(r"\.\d", one))]:
            assert stands_in(body, named), (place, str(error))
