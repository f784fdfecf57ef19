"""A member that no object has here is named where it stands, or refused by a strict server: none is lost."""

from __future__ import annotations

import copy
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.server.asking import AGENT, SAID, TOOL, asked, chat, ollama_chat, responses
from support.server.whole_bodies import BODIES, CALL, SCHEMA, places, value_at

from uhd_edge.server.dialect import AnsweredError
from uhd_edge.server.errors import ApiError
from uhd_edge.server.openai.chat import ChatCompletions
from uhd_edge.server.responses.dialect import Responses

if TYPE_CHECKING:
    from uhd_edge.server.dialect import Dialect

# What the model reads as it is: the definitions of tools, schemas, and the arguments of calls. And biases, by tokens.
READ = re.compile(r"tools\.\d+|.*\.(schema|arguments)|format|logit_bias")


@pytest.mark.parametrize("dialect", BODIES)
def test_an_unknown_member_of_any_object_is_named_where_it_stands(dialect: Dialect) -> None:
    body = BODIES[dialect]
    objects = [(), *(at for at in places(body) if isinstance(value_at(body, at), dict))]
    tried = 0
    for at in objects:
        place = ".".join(map(str, at))
        if any(READ.fullmatch(".".join(map(str, at[:end]))) for end in range(1, len(at) + 1)):
            continue
        changed = copy.deepcopy(body)
        value_at(changed, at)["surprise"] = 1
        named = re.sub(r"\.\d+(?=\.)", "[]", f"{place}.surprise").removeprefix(".")
        ignored = dialect.read(json.dumps(changed).encode())[0].ignored
        assert named in ignored or "thinking" in str(value_at(body, at).get("type")), (named, ignored)
        tried += 1
    assert tried > 1


CHOICE = {"type": "function", "function": {"name": "go"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [CHOICE]}}


@pytest.mark.parametrize(
    ("lenient", "body", "at"),
    [
        (chat, {"tools": [TOOL], "tool_choice": CHOICE}, "tool_choice"),
        (chat, {"tools": [TOOL], "tool_choice": CHOICE}, "tool_choice.function"),
        (chat, {"tools": [TOOL], "tool_choice": ALLOWED}, "tool_choice.allowed_tools"),
        (chat, {"tools": [TOOL], "tool_choice": ALLOWED}, "tool_choice.allowed_tools.tools.0"),
        (chat, {"tools": [TOOL], "tool_choice": ALLOWED}, "tool_choice.allowed_tools.tools.0.function"),
        (chat, {"messages": [*SAID, {"role": "assistant", "tool_calls": [CALL]}, *SAID]}, "messages.1.tool_calls.0"),
        (
            chat,
            {"messages": [*SAID, {"role": "assistant", "tool_calls": [CALL]}, *SAID]},
            "messages.1.tool_calls.0.function",
        ),
        (
            chat,
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
            "response_format.json_schema",
        ),
        (responses, {"text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}}, "text.format"),
    ],
)
def test_what_stands_in_choices_calls_and_formats_besides_is_refused_with_strict(
    lenient: Dialect, body: dict[str, Any], at: str
) -> None:
    strict = ChatCompletions(AGENT, strict=True) if lenient is chat else Responses(AGENT, strict=True)
    assert asked(strict, **body).ignored == ()
    changed = copy.deepcopy(body)
    value_at(changed, tuple(int(step) if step.isdecimal() else step for step in at.split(".")))["surprise"] = 1
    assert asked(lenient, **changed).ignored == (re.sub(r"\.\d+(?=\.)", "[]", f"{at}.surprise"),)
    with pytest.raises(ApiError) as refused:
        asked(strict, **changed)
    assert refused.value.param == f"{at}.surprise"


@pytest.mark.parametrize("name", ["value", "pattern", "regex", "grammar", "choices"])
def test_another_form_of_an_answer_is_refused_and_not_left_out(name: str) -> None:
    with pytest.raises(ApiError, match=rf"^response_format\.{name} is not supported; ask for JSON by"):
        asked(chat, response_format={"type": "json_object", name: {"type": "array"}})


def test_past_thoughts_and_refusals_that_say_nothing_are_taken() -> None:
    for empty in (
        {"summary": [], "content": ""},
        {"summary": {}},
        {"summary": [{"type": "summary_text", "text": None}]},
    ):
        assert asked(responses, input=[*SAID, {"type": "reasoning", **empty}, *SAID]).ignored == ()
    for empty in (False, [], "", None):
        assert asked(chat, messages=[*SAID, {"role": "assistant", "content": "A dog.", "refusal": empty}, *SAID])


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [TOOL], "tool_choice": {"type": "DEEP"}},
        {"format": "DEEP"},
    ],
)
def test_what_is_nested_almost_too_deeply_is_refused_in_one_line(body: dict[str, Any]) -> None:
    text = json.dumps({"messages": SAID, **body})
    for depth in range(900, 1000):
        for dialect in (chat, ollama_chat):
            with suppress(ApiError, AnsweredError):
                dialect.read(text.replace('"DEEP"', "[" * depth + "]" * depth).encode())
