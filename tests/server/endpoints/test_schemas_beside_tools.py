"""Frameworks send a schema and tools together: an answer is calls, or JSON that fits the schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.running_server import CHAT, CODE, Running

if TYPE_CHECKING:
    from uhd_edge.runtime import Assistant

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "code": {"maxLength": 3, "title": "Code", "type": "string"},
        "colour": {"enum": ["red", "blue"], "title": "Colour", "type": "string"},
    },
    "required": ["code", "colour"],
    "title": "Code",
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "final_output", "schema": SCHEMA, "strict": True}}
TOOL: dict[str, Any] = {"name": "Code", "description": "Correctly extracted `Code`.", "parameters": SCHEMA}
ASKED = [{"role": "user", "content": CODE}]


def test_instructor_1_17_sends_the_schema_as_a_format_and_as_the_tool_to_call(server: Running) -> None:
    body = {
        "input": ASKED,
        "model": "uhd-tiny",
        "text": {"format": {"type": "json_schema", "name": "Code", "strict": True, "schema": SCHEMA}},
        "tool_choice": {"type": "function", "name": "Code"},
        "tools": [{"type": "function", **TOOL}],
    }
    reply = server.request("POST", "/v1/responses", body)
    (call,) = reply.json["output"]
    assert (reply.status, call["type"], call["name"]) == (200, "function_call", "Code")
    assert json.loads(call["arguments"])["colour"] in ("red", "blue")


@pytest.mark.parametrize("seed", range(6))
def test_openai_agents_0_24_sends_tools_and_the_type_of_the_last_answer(
    server: Running, assistant: Assistant, seed: int
) -> None:
    tools = [{"type": "function", "function": {**TOOL, "strict": True}}]
    options: dict[str, Any] = {"max_tokens": 200, "temperature": 4.0, "seed": seed, "parallel_tool_calls": False}
    expected = assistant.ask(CODE, tools=tools, schema=SCHEMA, **options)
    body = {"model": "uhd-tiny", "messages": ASKED, "tools": tools, "response_format": FORMAT, **options}
    (choice,) = server.request("POST", CHAT, body).json["choices"]
    message = choice["message"]
    called = [json.loads(call["function"]["arguments"]) for call in message.get("tool_calls") or ()]
    assert called == [call.arguments for call in expected.tool_calls]
    assert message["content"] == expected.text
    assert called or json.loads(message["content"]) == expected.parsed
    events = server.request("POST", CHAT, {**body, "stream": True}).body.decode().split("\n\n")
    deltas = [json.loads(event[6:])["choices"][0]["delta"] for event in events[:-2]]
    assert "".join(delta.get("content") or "" for delta in deltas) == expected.text
    assert len([call for delta in deltas for call in delta.get("tool_calls") or ()]) == len(called)
