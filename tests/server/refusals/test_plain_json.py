"""What Python reads as JSON and no other program does is refused in one line, and never sent back."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from support.running_server import CHAT, Running
from support.server.every_address import ADDRESSES, RESPONSES, question, refusal

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.errors import OptionError, PromptError
from uhd_edge.runtime.schema.plain_json import find_halved_text, load_plain_json, whole_characters
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

HALF = "Look \ud83d"
PLACES: Mapping[str, Any] = {
    "metadata": lambda wrong: {"a": wrong},
    "user": lambda wrong: wrong,
    "reasoning": lambda wrong: {"summary": wrong},
    "text": lambda wrong: {"format": {"type": "text"}, "verbosity": wrong},
    "tools": lambda wrong: [{"type": "function", "name": "go", "description": wrong, "parameters": {"x": wrong}}],
}
NAN, LARGE = float("nan"), 10**4000


def one_line(text: str) -> bool:
    return 0 < len(text) < 200 and "\n" not in text


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("wrong", [NAN, float("-inf"), LARGE, HALF, {HALF: 1}], ids=str)
def test_what_a_response_repeats_is_json_that_every_program_reads(server: Running, name: str, wrong: Any) -> None:
    for stream in (False, True):
        body = {**question(RESPONSES, "What?", most=1), name: PLACES[name](wrong), "stream": stream}
        reply = server.request("POST", RESPONSES, body)
        assert (reply.status, one_line(refusal(RESPONSES, reply.json))) == (400, True), reply.json


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"NaN", "the body is not JSON (NaN is not a number that JSON has)"),
        (b"-Infinity", "the body is not JSON (-Infinity is not a number that JSON has)"),
        (b"1e999", "the body cannot be read: the number 1e999 is too large"),
        (b"1" * 5000, "the body cannot be read: a number has 5000 digits, more than 100"),
        (b"-" + b"1" * 101, "the body cannot be read: a number has 101 digits, more than 100"),
        (
            b'{"a": ["x \\uD83D. Yes"]}',
            "the body is not valid Unicode: 'x \\ud83d' ends in half of a surrogate pair; send it as UTF-8",
        ),
    ],
)
def test_a_body_is_refused_for_what_is_no_json(server: Running, path: str, value: bytes, told: str) -> None:
    body = json.dumps(question(path, "What?", most=1))[:-1].encode() + b', "surprise": ' + value + b"}"
    reply = server.request("POST", path, body)
    assert (reply.status, refusal(path, reply.json)) == (400, told)


@pytest.mark.parametrize("name", ["go", "arguments"])
def test_half_of_a_character_in_the_text_of_a_calls_arguments_is_refused(server: Running, name: str) -> None:
    arguments = {"arguments": '{"a": "\\ud83d"}', "go": "{}"}[name]
    calls = [{"function": {"name": "go", "arguments": arguments}}, {"function": {"name": "go", "arguments": "[NaN]"}}]
    said = [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": calls[name == "go" :][:1]}]
    result = [{"role": "tool", "content": "x"}]
    reply = server.request("POST", CHAT, {"messages": [*said, *result], "max_tokens": 1})
    assert (reply.status, one_line(reply.error["message"])) == (400, True), reply.json


def test_an_error_can_always_be_sent() -> None:
    error = ApiError(400, f"{HALF} \ude00\ud800 is wrong", param=HALF)
    assert (str(error), error.param) == ("Look \ufffd \ufffd\ufffd is wrong", "Look \ufffd")
    json.dumps(error.body, ensure_ascii=False).encode()


def test_halves_of_characters_are_found_as_utf_8_refuses_them() -> None:
    dice = random.Random(3)
    for _ in range(300):
        text = "".join(dice.choice(["a", "é", "\U0001f600", "\ud83d", "\ude00"]) for _ in range(3))
        value = dice.choice([text, [1, None, text], {"a": {text: 1}}, {"a": [{"b": text}]}])
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            assert find_halved_text(value) == text
        else:
            assert find_halved_text(value) is None
        assert find_halved_text(whole_characters(text)) is None
    deep = json.loads("[" * 900 + '"\\ud800"' + "]" * 900)
    assert find_halved_text(deep) == "\ud800"


def test_numbers_that_json_has_are_read_as_python_reads_them() -> None:
    text = '[0, -1, 1.5, 1e30, -1e-400, 18446744073709551616, {"a": [true, null, "x"]}]'
    assert load_plain_json(text) == json.loads(text)


def test_a_program_that_gives_half_of_a_character_is_told_in_one_line() -> None:
    given: Any = [{"name": "go", "description": HALF}]
    call = [{"function": {"name": HALF, "arguments": {}}}]
    said: Any = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "", "tool_calls": call},
        {"role": "tool", "content": "x"},
    ]
    with Assistant(threads=1) as assistant:
        with pytest.raises(OptionError, match=r"tool 0: 'Look .ud83d' is not valid Unicode"):
            assistant.ask("What?", tools=given)
        with pytest.raises(PromptError, match="not valid Unicode"):
            assistant.ask((), said)
