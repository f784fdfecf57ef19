"""Beside tools, an answer by a schema is its value, or an error that says what came in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.agents.templates import AGENT_TEMPLATE
from support.language_models.scripted import END, ScriptedModel

from uhd_edge.runtime.answer import Answer, ToolCall, Usage
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.conversation.answer_stream import AnswerStream
from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.generation.parsing import parse_answer
from uhd_edge.runtime.generation.writing import write_answer
from uhd_edge.runtime.options import check_options
from uhd_edge.server.answering import _cut_off

if TYPE_CHECKING:
    from collections.abc import Sequence

GO = {"name": "go", "parameters": {"type": "object", "properties": {}}}
CALL = ["<tool_call>", "\n", "<function=go>\n</function>", END, END]
BROKEN = ["<tool_call>", "\n", "<function=fly>\n</function>", END]


def answered(script: Sequence[str], **options: Any) -> tuple[Answer, Any]:
    """What a model answers beside a schema and a tool, and the settings."""
    prompt = Bundle.open().manifest.prompt.model_copy(update={"chat_template": AGENT_TEMPLATE})
    settings: Any = check_options({"tools": [GO], "schema": {"type": "string"}, **options})  # type: ignore[typeddict-item]
    model: Any = ScriptedModel(script)
    stream: Any = AnswerStream(write_answer(settings, model, prompt, in_thoughts=False))
    list(stream)
    said = stream.answer
    usage = Usage(0, 1, said.tokens)
    return Answer(said.text, said.finish_reason, usage, (), {}, "16x", tool_calls=said.tool_calls), settings


def test_json_is_parsed_and_calls_are_not() -> None:
    assert parse_answer(*answered(['"', '"a <tool_call> b"', END])) == "a <tool_call> b"
    answer, settings = answered(CALL)
    assert (answer.tool_calls, parse_answer(answer, settings)) == ((ToolCall("go", {}),), None)


def test_a_call_that_cannot_be_read_is_said_to_be_one() -> None:
    answer, settings = answered(BROKEN)
    told = r"^the answer is a call of a tool that cannot be read; describe simpler .*: '<tool_call>.n<function=fly>.n"
    with pytest.raises(SchemaError, match=told) as caught:
        parse_answer(answer, settings)
    assert caught.value.answer is answer
    with pytest.raises(SchemaError, match="is a call of a tool"):  # in a server too, where texts cut short are answers
        _cut_off(caught.value)


def test_a_call_that_is_cut_off_is_said_to_be_one() -> None:
    answer, settings = answered(BROKEN, max_tokens=3)
    with pytest.raises(SchemaError, match=r"cut off after 3 tokens, before its call was complete; raise --max-tokens"):
        parse_answer(answer, settings)
    with pytest.raises(SchemaError) as caught:
        parse_answer(answer, settings)
    assert _cut_off(caught.value) is answer


def test_json_that_a_stop_text_has_ended_is_said_to_be_so() -> None:
    answer, settings = answered(['"', '"a <tool_call>', " b", '"', END], stop="b")
    with pytest.raises(SchemaError, match="a stop text ended the answer"):
        parse_answer(answer, settings)
