"""Errors name what the client has sent, at every address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.running_server import CHAT, Running, data_uri
from support.server.asking import SAID, TOOL
from support.server.every_address import ADDRESSES, OLLAMA_CHAT, OLLAMA_GENERATE, RESPONSES, question, refusal
from support.server.png import plain

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

LEAST: Mapping[str, dict[str, Any]] = {
    CHAT: {"messages": SAID},
    RESPONSES: {"input": "What?"},
    OLLAMA_CHAT: {"messages": SAID},
    OLLAMA_GENERATE: {"prompt": "What?"},
}
WRONG = {"type": "array", "contains": {"type": "string"}, "items": {"type": "surprise"}}
CALL = {"type": "function_call", "call_id": "1", "name": "go", "arguments": "{}"}
THOUGHT = {"type": "reasoning", "summary": []}
NOT_OLLAMAS: tuple[tuple[str, Any], ...] = (
    *(("stream", "x"), ("stream", 0), ("format", "xml"), ("format", 0), ("format", [])),
    *(("options", "x"), ("options", 0), ("think", 5), ("logprobs", "x"), ("top_logprobs", "x")),
)
WHAT = {"role": "user", "content": "What?"}


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        *[(CHAT, {name: -5}, name) for name in ("top_k", "temperature", "max_tokens", "presence_penalty", "min_p")],
        *[(CHAT, {name: 0}, name) for name in ("max_completion_tokens", "n_predict", "repeat_penalty", "max_slices")],
        (CHAT, {"stop": [""]}, "stop"),
        (CHAT, {"tool_choice": "required"}, "tool_choice"),
        (CHAT, {"tools": [TOOL]}, "tools"),
        (CHAT, {"logit_bias": {"999999": 1}}, "logit_bias"),
        (CHAT, {"thinking": {"type": "enabled", "budget_tokens": -1}}, "thinking.budget_tokens"),
        (CHAT, {"guided_json": WRONG}, "guided_json"),
        (CHAT, {"guided_json": 5}, "guided_json"),
        (RESPONSES, {"max_output_tokens": 0}, "max_output_tokens"),
        (RESPONSES, {"max_output_tokens": "5"}, "max_output_tokens"),
        (RESPONSES, {"temperature": 200}, "temperature"),
        (RESPONSES, {"reasoning": {"effort": "much"}}, "reasoning.effort"),
        (RESPONSES, {"text": {"format": {"type": "json_schema", "name": "x", "schema": WRONG}}}, "text.format.schema"),
        (RESPONSES, {"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        (RESPONSES, {"text": {"format": {"type": "yaml"}}}, "text.format.type"),
        (RESPONSES, {"input": [{"role": "narrator", "content": "x"}]}, "input.0.role"),
        (RESPONSES, {"instructions": "Look.", "input": [THOUGHT, CALL, WHAT, {"role": "user"}]}, "input.3.content"),
        (RESPONSES, {"input": [WHAT, {"type": "function_call", "call_id": "1"}]}, "input.1.name"),
        (RESPONSES, {"input": [WHAT, {**CALL, "arguments": "{"}, WHAT]}, "input.1.arguments"),
        (RESPONSES, {"input": [WHAT, THOUGHT, {**CALL, "arguments": "[]"}, WHAT]}, "input.2.arguments"),
        (RESPONSES, {"input": [WHAT, {**THOUGHT, "summary": 5}]}, "input.1.summary"),
        (RESPONSES, {"input": [CALL, {"type": "function_call_output", "call_id": "1", "output": 5}]}, "input.1.output"),
        (
            RESPONSES,
            {"input": [THOUGHT, {"role": "assistant", "content": [{"type": "text", "text": 5}]}]},
            "input.1.content.0.text",
        ),
        (RESPONSES, {"instructions": 5}, "instructions"),
        (RESPONSES, {"input": "what " * 5000}, "input"),
        (OLLAMA_CHAT, {"options": {"num_predict": 0}}, "options.num_predict"),
        (OLLAMA_CHAT, {"options": {"temperature": 200}}, "options.temperature"),
        (OLLAMA_CHAT, {"options": {"mirostat": 1}}, "options.mirostat"),
        *[(path, {name: wrong}, name) for path in (OLLAMA_CHAT, OLLAMA_GENERATE) for name, wrong in NOT_OLLAMAS],
        (OLLAMA_CHAT, {"messages": 0}, "messages"),
        (OLLAMA_CHAT, {"tools": 0}, "tools"),
        (OLLAMA_CHAT, {"messages": [{**WHAT, "tool_calls": "zz"}]}, "messages.0.tool_calls"),
        (OLLAMA_CHAT, {"messages": [{**WHAT, "tool_calls": {}}]}, "messages.0.tool_calls"),
        (OLLAMA_CHAT, {"messages": [{**WHAT, "thinking": 0}]}, "messages.0.thinking"),
        (OLLAMA_CHAT, {"messages": [{"role": "user", "content": 0, "images": ["x"]}]}, "messages.0.content"),
        (OLLAMA_CHAT, {"messages": [{**WHAT, "images": {}}]}, "messages.0.images"),
        (OLLAMA_GENERATE, {"prompt": 0}, "prompt"),
        (OLLAMA_GENERATE, {"prompt": ["x"]}, "prompt"),
        (OLLAMA_GENERATE, {"system": False}, "system"),
        (OLLAMA_GENERATE, {"images": "zz"}, "images"),
        (OLLAMA_GENERATE, {"images": False}, "images"),
        (OLLAMA_CHAT, {"messages": [WHAT, {"role": "user", "content": "x", "images": ["", 5]}]}, "messages.1.images.1"),
        (OLLAMA_GENERATE, {"options": {"repeat_penalty": 200}}, "options.repeat_penalty"),
        (OLLAMA_GENERATE, {"images": [5], "system": "x"}, "images.0"),
        (OLLAMA_GENERATE, {"prompt": 5, "system": "x"}, "prompt"),
        (OLLAMA_GENERATE, {"system": 5}, "system"),
    ],
)
def test_an_error_names_the_parameter_that_the_client_has_sent(
    server: Running, path: str, body: dict[str, Any], name: str
) -> None:
    reply = server.request("POST", path, {"model": "uhd-tiny", **LEAST[path], **body})
    message = refusal(path, reply.json)
    assert reply.status == 400
    if path.startswith("/v1"):
        assert reply.error["param"] == name
    else:
        assert message.startswith((f"{name} ", f"{name}: "))
    assert path == CHAT or "response_format" not in message


def test_an_error_of_the_assistant_has_its_parameter() -> None:
    with Assistant(threads=1) as assistant:
        for name, value in {
            "max_tokens": 0,
            "temperature": -1,
            "stop": [""],
            "answers": 9,
            "tool_choice": "go",
        }.items():
            options: Any = {name: value}
            with pytest.raises(OptionError, match=f"^{name} ") as refused:
                assistant.ask("What?", **options)
            assert refused.value.parameter == name


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_question_that_is_too_long_says_what_a_request_can_set(server: Running, path: str) -> None:
    in_4x = {"mode": "4x"}
    body = question(path, "What?", *[data_uri(plain(500, 125))] * 16)
    reply = server.request("POST", path, body | ({"options": in_4x} if path.startswith("/api") else in_4x))
    told, within = refusal(path, reply.json), "options." if path.startswith("/api") else ""
    assert reply.status == 400
    assert told.endswith(f"; set {within}max_slices to 2, or set {within}mode to 16x")
