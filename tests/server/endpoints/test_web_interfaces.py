"""What web interfaces send, as read in the sources of the versions that the tests' names say."""

from __future__ import annotations

import base64
import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.running_server import CHAT, CODE, EXAMPLES, Running, data_uri

from uhd_edge.runtime import Assistant, Message, TextPart, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable

BENCH = EXAMPLES / "bench.png"
URI = data_uri(BENCH.read_bytes())
BARE = base64.b64encode(BENCH.read_bytes()).decode()
RULES = "You look closely."
TURN: dict[str, Any] = {
    "name": "turn",
    "description": "Turn.",
    "parameters": {"type": "object", "properties": {"side": {"enum": ["left", "right"]}}, "required": ["side"]},
}
LOOK = [{"type": "text", "text": CODE}, {"type": "image_url", "image_url": {"url": URI}}]
CALL: dict[str, Any] = {"id": "call_1", "type": "function"}
CALL["function"] = {"name": "turn", "arguments": '{"side": "left"}'}


@pytest.fixture(scope="module")
def expected(assistant: Assistant) -> Callable[..., Any]:
    """Ask the same question of the assistant itself, with Open WebUI's system prompt in front."""

    def ask(parts: list[dict[str, Any]] = LOOK, **options: Any) -> Any:
        told = [{"role": "system", "content": RULES}, {"role": "user", "content": parts}]
        return assistant.ask(told, **options)

    return ask


def test_open_webui_0_12_4_asks_openais_address(server: Running, expected: Callable[..., Any]) -> None:
    """A user's settings of a chat, Ollama's among them, go into the body as they are."""
    settings = {"temperature": 0.0, "top_p": 0.9, "top_k": 40, "repeat_penalty": 1.1, "num_ctx": 4096, "seed": 42}
    body = {
        "stream": True,
        "model": "uhd-tiny",
        "messages": [{"role": "system", "content": RULES}, {"role": "user", "content": LOOK}],
        **settings,
        "max_tokens": 6,
        "stop": ["###"],
        "logit_bias": {"5": 10},
        "stream_options": {"include_usage": True},
    }
    answer = expected(max_tokens=6, top_p=0.9, top_k=40, repetition_penalty=1.1, logit_bias={5: 10})
    reply = server.request("POST", CHAT, body)
    chunks = [json.loads(event[6:]) for event in reply.body.decode().split("\n\n")[:-2]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]) == answer.text
    assert chunks[-1]["usage"]["completion_tokens"] == answer.usage.completion_tokens
    assert reply.headers["x-uhd-ignored"] == "num_ctx"


def test_open_webui_0_12_4_asks_for_a_title_and_goes_on_with_an_answer(server: Running, assistant: Assistant) -> None:
    title = {"model": "uhd-tiny", "messages": [{"role": "user", "content": CODE}], "stream": False, "max_tokens": 5}
    reply = server.request("POST", CHAT, title)
    assert reply.json["choices"][0]["message"]["content"] == assistant.ask(CODE, max_tokens=5).text
    going_on = {"continue_final_message": True, "add_generation_prompt": False, "max_tokens": 5}
    turns = [{"role": "user", "content": LOOK}, {"role": "assistant", "content": "J", "reasoning_content": "Hm."}]
    reply = server.request("POST", CHAT, {"stream": False, "model": "uhd-tiny", "messages": turns, **going_on})
    assert (reply.status, "x-uhd-ignored" in reply.headers) == (200, False)
    assert reply.json["choices"][0]["message"]["content"] == assistant.ask(turns, max_tokens=5).text


def test_open_webui_0_12_4_sends_calls_and_their_results_back(server: Running, assistant: Assistant) -> None:
    tools = [{"type": "function", "function": TURN}]
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": CODE},
        {"role": "assistant", "content": "", "tool_calls": [{"index": 0, **CALL}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    said = [
        Message("user", (TextPart(CODE),)),
        Message("assistant", (TextPart(""),), tool_calls=(ToolCall("turn", {"side": "left"}),)),
        Message("tool", (TextPart("done"),)),
    ]
    answer = assistant.ask(said, tools=tools, max_tokens=8)
    body = {"stream": False, "model": "uhd-tiny", "messages": turns, "tools": tools, "max_tokens": 8}
    assert server.request("POST", CHAT, body).json["choices"][0]["message"]["content"] == answer.text
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": CODE}]},
        {"type": "function_call", "call_id": "call_1", **CALL["function"]},
        {"type": "function_call_output", "call_id": "call_1", "output": "done"},
    ]
    flat = [{"type": "function", **TURN, "strict": False}]
    strict = [{"type": "function", "function": {**TURN, "strict": False}}]  # which the model is told too
    body = {"stream": False, "model": "uhd-tiny", "input": items, "tools": flat, "max_output_tokens": 8}
    (message,) = server.request("POST", "/v1/responses", body).json["output"]
    assert message["content"][0]["text"] == assistant.ask(said, tools=strict, max_tokens=8).text
    native = copy.deepcopy(turns)
    native[1]["tool_calls"] = [
        {"index": 0, "id": "call_1", "function": {"name": "turn", "arguments": {"side": "left"}}}
    ]
    asked: dict[str, Any] = {"model": "uhd-tiny", "messages": native, "stream": False, "tools": tools}
    reply = server.request("POST", "/api/chat", {**asked, "options": {"num_predict": 8}})
    quiet = assistant.ask(said, tools=tools, max_tokens=8, think=False)
    assert reply.json["message"]["content"] == quiet.text


def test_open_webui_0_12_4_asks_for_responses(server: Running, expected: Callable[..., Any]) -> None:
    look = [{"type": "input_text", "text": CODE}, {"type": "input_image", "image_url": URI, "detail": "auto"}]
    body = {
        "stream": True,
        "model": "uhd-tiny",
        "temperature": 0.0,
        "repeat_penalty": 1.1,
        "num_ctx": 4096,
        "input": [{"type": "message", "role": "user", "content": look}],
        "instructions": RULES,
        "max_output_tokens": 6,
    }
    reply = server.request("POST", "/v1/responses", body)
    last = json.loads(reply.body.decode().strip().rpartition("data: ")[2])
    answer = expected(max_tokens=6, repetition_penalty=1.1)
    assert last["response"]["output"][-1]["content"][0]["text"] == answer.text
    assert last["response"]["usage"]["input_tokens"] == answer.usage.prompt_tokens


def test_open_webui_0_12_4_asks_ollamas_addresses(server: Running, expected: Callable[..., Any]) -> None:
    for path, name in (("/api/tags", "models"), ("/api/ps", "models"), ("/api/version", "version")):
        assert server.request("GET", path).json[name]
    settings = {"temperature": 0.0, "num_ctx": 4096, "num_keep": 24, "use_mmap": True, "num_gpu": 1, "seed": 42}
    body: dict[str, Any] = {
        "model": "uhd-tiny",
        "messages": [{"role": "system", "content": RULES}, {"role": "user", "content": CODE, "images": [BARE]}],
        "stream": True,
        "options": {**settings, "repeat_penalty": 1.1, "num_predict": 6, "stop": ["###"], "repeat_last_n": 64},
        "keep_alive": "5m",
        "think": False,
    }
    reply = server.request("POST", "/api/chat", body)
    lines = [json.loads(line) for line in reply.body.splitlines()]
    answer = expected(
        [*LOOK[::-1]], max_tokens=6, repetition_penalty=1.1, think=False
    )  # in Ollama's form, pictures first
    assert "".join(line["message"]["content"] for line in lines) == answer.text
    assert lines[-1]["prompt_eval_count"] == answer.usage.prompt_tokens
    assert reply.headers["x-uhd-ignored"] == "options.repeat_last_n"
    unloaded = server.request("POST", "/api/generate", {"model": "uhd-tiny", "keep_alive": 0, "prompt": ""})
    assert (unloaded.status, unloaded.json["done"]) == (200, True)


def test_live_vlm_webui_0_4_0_asks_about_each_frame(server: Running, assistant: Assistant) -> None:
    assert server.request("GET", "/v1/models").json["data"][0]["id"] == "uhd-tiny"
    for headers in ({"Authorization": "Bearer EMPTY"}, {"Authorization": "Bearer "}):
        body = {
            "messages": [{"role": "user", "content": LOOK}],
            "model": "uhd-tiny",
            "max_tokens": 6,
            "temperature": 0.7,
        }
        reply = server.request("POST", CHAT, body, headers=headers)
        answer = assistant.ask([{"role": "user", "content": LOOK}], max_tokens=6, temperature=0.7)
        assert reply.json["choices"][0]["message"]["content"] == answer.text
        assert reply.json["usage"]["total_tokens"] > 0


def test_open_webui_sends_a_picture_in_the_files_of_a_message_too(server: Running, assistant: Assistant) -> None:
    turn = {"role": "user", "content": LOOK, "files": [{"type": "image", "url": URI, "name": "bench.png"}]}
    reply = server.request("POST", CHAT, {"model": "uhd-tiny", "messages": [turn], "max_tokens": 6})
    answer = assistant.ask([{"role": "user", "content": LOOK}], max_tokens=6)
    assert reply.json["choices"][0]["message"]["content"] == answer.text
    assert reply.json["usage"]["prompt_tokens"] == answer.usage.prompt_tokens
    assert reply.headers["x-uhd-ignored"] == "messages[].files"


def test_a_file_is_looked_at_as_the_picture_that_it_is(server: Running, assistant: Assistant) -> None:
    def reply(file: str) -> Any:
        parts = [LOOK[0], {"type": "file", "file": {"filename": "bench.png", "file_data": file}}]
        body = {"model": "uhd-tiny", "messages": [{"role": "user", "content": parts}], "max_tokens": 6}
        return server.request("POST", CHAT, body).json

    answer = assistant.ask([{"role": "user", "content": LOOK}], max_tokens=6)
    for file in (URI, BARE, data_uri(BENCH.read_bytes(), "application/octet-stream")):
        assert reply(file)["choices"][0]["message"]["content"] == answer.text
    assert reply("data:image/png;base64,JVBERi0xLjQ=")["error"]["param"] == "messages.0.content.1.file.file_data"
