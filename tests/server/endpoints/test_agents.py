"""Thoughts and calls through `uhd serve`, as the official client gets them."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from support.running_server import CODE

from uhd_edge.runtime import Assistant, Message, TextPart, Thought, ToolCall

TURN = {
    "type": "function",
    "function": {
        "name": "turn",
        "parameters": {"type": "object", "properties": {"side": {"enum": ["left", "right"]}}, "required": ["side"]},
    },
}
THINK: dict[str, Any] = {"think": True, "think_tokens": 12}
ASKED: Any = [{"role": "user", "content": CODE}]


def create(client: openai.OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(model="uhd-tiny", **options)


@pytest.mark.parametrize("body", [THINK, {"chat_template_kwargs": {"enable_thinking": True}, "think_tokens": 12}])
def test_thoughts_come_beside_the_answer(client: openai.OpenAI, assistant: Assistant, body: dict[str, Any]) -> None:
    expected = assistant.ask(CODE, **THINK)
    message = create(client, messages=ASKED, extra_body=body).choices[0].message
    assert (message.content, message.reasoning_content) == (expected.text, expected.thinking)
    assert expected.thinking


def test_a_stream_tells_thoughts_from_the_answer(client: openai.OpenAI, assistant: Assistant) -> None:
    pieces = list(stream := assistant.stream(CODE, **THINK))
    assert any(isinstance(piece, Thought) for piece in pieces)
    deltas = [chunk.choices[0].delta for chunk in create(client, messages=ASKED, stream=True, extra_body=THINK)]
    thoughts = [getattr(delta, "reasoning_content", None) or "" for delta in deltas]
    assert "".join(thoughts) == stream.answer.thinking
    assert "".join(delta.content or "" for delta in deltas) == stream.answer.text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "turn"}}])
def test_a_call_and_its_result_are_a_conversation(client: openai.OpenAI, assistant: Assistant, choice: Any) -> None:
    options: dict[str, Any] = {"tools": [TURN], "max_tokens": 120}
    first = create(client, messages=ASKED, tool_choice=choice, **options).choices[0]
    (call,) = first.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert (first.finish_reason, call.function.name, first.message.content) == ("tool_calls", "turn", "")
    assert arguments["side"] in ("left", "right")
    result = {"role": "tool", "tool_call_id": call.id, "content": "done"}
    said = first.message.model_dump(exclude_none=True)
    second = create(client, messages=[*ASKED, said, result], tool_choice="none", **options).choices[0]
    conversation = [
        Message("user", (TextPart(CODE),)),
        Message("assistant", (TextPart(""),), tool_calls=(ToolCall("turn", arguments),)),
        Message("tool", (TextPart("done"),)),
    ]
    expected = assistant.ask(conversation, tool_choice="none", **options)
    assert second.message.content == expected.text


def test_a_stream_has_the_call_at_its_end(client: openai.OpenAI) -> None:
    stream = create(client, messages=ASKED, tools=[TURN], tool_choice="required", max_tokens=120, stream=True)
    choices = [chunk.choices[0] for chunk in stream]
    (call,) = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert json.loads(call.function.arguments)["side"] in ("left", "right")
    assert choices[-1].finish_reason == "tool_calls"


def test_a_wrong_tool_names_its_parameter(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, messages=ASKED, tools=[{"type": "function", "function": {"name": "a b"}}])
    assert refused.value.param == "tools.0"
