"""With `--strict` nothing is adapted: what is unknown, or not in OpenAI's form, is refused."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from support.running_server import CHAT, CODE, EXAMPLES, Running, about_the_bench, asked, data_uri, running
from support.server.every_address import OLLAMA_CHAT, OLLAMA_GENERATE, RESPONSES, refusal, said
from support.server.png import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

ASK = "?What?"
TEXT = {"type": "text", "text": "x"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:,x"}}
FILM = {"type": "video_url", "video_url": {"url": "data:,x"}}
BENCH = (EXAMPLES / "bench.png").read_bytes()


@pytest.fixture(scope="module")
def strict_server() -> Iterator[Running]:
    with running("--strict") as server:
        yield server


def in_part(part: dict[str, Any]) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [part]}]}


def with_part(part: dict[str, Any]) -> dict[str, Any]:
    return {"model": "uhd-tiny", "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, part]}]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (asked(ASK, surprise=1), "surprise"),
        (asked(ASK, repeat_penalty=1.1), "repeat_penalty"),
        (asked(ASK, stream_options={"more": True}), "stream_options.more"),
        (asked(ASK, chat_template_kwargs={"other": 1}), "chat_template_kwargs.other"),
        ({"messages": [{"role": "user", "content": "What?"}]}, "model"),
        (asked(plain(8, 8)), "messages.0.content"),
        ({"model": "uhd-tiny", "messages": [{"role": "assistant", "content": "What?"}]}, "messages.0.role"),
        (with_part({"type": "image_url", "image_url": "data:,x"}), "messages.0.content.1.image_url"),
        (with_part({"type": "image_url"}), "messages.0.content.1.image_url"),
        (with_part({"text": "What?"}), "messages.0.content.1"),
        (
            with_part({"type": "image_url", "image_url": {"url": "data:,x", "detail": "all"}}),
            "messages.0.content.1.image_url.detail",
        ),
        ({"model": "uhd-tiny", "messages": [{"role": "user", "content": "What?", "surprise": 1}]}, None),
        ({"model": "uhd-tiny", "messages": [{"role": "user", "content": "What?", "name": "me"}]}, "messages.0.name"),
        (asked(ASK, verbosity="low"), "verbosity"),
        (with_part({**TEXT, "cache_control": {}}), "messages.0.content.1.cache_control"),
        (with_part({**TEXT, "image_url": {}}), "messages.0.content.1.image_url"),
        (with_part({**PICTURE, "cache_control": {}}), "messages.0.content.1.cache_control"),
        (with_part({**PICTURE, "image_url": {"url": "x", "text": 1}}), "messages.0.content.1.image_url.text"),
        (with_part({**FILM, "fps": 1}), "messages.0.content.1.fps"),
        (with_part({"type": "text"}), "messages.0.content.1.text"),
        (with_part({"type": "file", "file": {}}), "messages.0.content.1"),
    ],
)
def test_what_is_adapted_otherwise_is_refused(strict_server: Running, body: Any, param: str | None) -> None:
    reply = strict_server.request("POST", CHAT, body)
    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")
    assert param is None or reply.error["param"] == param


def test_openais_own_form_is_answered(strict_server: Running) -> None:
    reply = strict_server.request("POST", CHAT, about_the_bench(user="me", n=1, logprobs=False))
    assert reply.json["choices"][0]["message"]["content"] == "JX7"
    assert strict_server.request("POST", f"{CHAT}/", about_the_bench()).status == 404
    assert strict_server.request("POST", CHAT, about_the_bench(), headers={"Content-Type": "text/plain"}).status == 415


SENT_BACK = {
    "role": "assistant",
    "content": [{"type": "refusal", "refusal": "No."}, {"type": "text", "text": "x"}],
    "refusal": None,
    "annotations": [],
    "audio": None,
    "function_call": None,
    "tool_calls": None,
}
ANSWER = {
    "type": "message",
    "id": "msg_1",
    "status": "completed",
    "phase": "final_answer",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "x", "annotations": [], "logprobs": []}],
}
ITEMS = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "status": None},
    {"type": "function_call", "call_id": "1", "name": "go", "arguments": "{}", "id": "fc_1", "status": "completed"},
    {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "done"}]},
]
IMAGE = {"type": "input_image", "image_url": data_uri(BENCH), "detail": "original", "file_id": None}
CALLED = {
    "role": "assistant",
    "content": "",
    "thinking": "Hm.",
    "tool_calls": [{"function": {"name": "go", "arguments": {}}}],
}
LEFTMOST = "Which object is the leftmost?"
BARE = base64.b64encode(BENCH).decode()


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        (
            CHAT,
            {
                **about_the_bench(),
                "messages": [{"role": "user", "content": "x"}, SENT_BACK, *about_the_bench()["messages"]],
            },
            "JX7",
        ),
        (
            RESPONSES,
            {
                "input": [
                    ANSWER,
                    *ITEMS,
                    {"role": "user", "content": [IMAGE, {"type": "input_text", "text": LEFTMOST}]},
                ],
                "max_output_tokens": 9,
                "reasoning": {"effort": "none", "summary": None},
                "truncation": "auto",
                "text": {"format": {"type": "text"}},
                "include": [],
                "store": False,
                "metadata": {"a": "b"},
            },
            "the white star",
        ),
        (
            OLLAMA_CHAT,
            {
                "messages": [
                    CALLED,
                    {"role": "tool", "content": "x", "tool_name": "go"},
                    {"role": "user", "content": CODE, "images": [BARE]},
                ],
                "stream": False,
                "keep_alive": "5m",
                "options": {"num_predict": 9, "num_ctx": 4096, "stop": []},
            },
            "JX7",
        ),
        (OLLAMA_GENERATE, {"prompt": CODE, "images": [BARE], "system": "Look.", "stream": False, "raw": False}, "JX7"),
    ],
)
def test_what_official_clients_send_is_an_addresses_own_language(
    strict_server: Running, path: str, body: dict[str, Any], answer: str
) -> None:
    reply = strict_server.request("POST", path, {"model": "uhd-tiny", **body})
    assert (reply.status, said(path, reply.json)) == (200, answer), reply.json


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        (RESPONSES, {"input": "What?", "n_predict": 5}, "n_predict"),
        (RESPONSES, {"input": "What?", "text": {"verbosity": "low"}}, "text.verbosity"),
        (RESPONSES, {"input": "What?", "reasoning": {"summary": "auto"}}, "reasoning.summary"),
        (RESPONSES, {"input": "What?", "repeat_penalty": 1.1}, "repeat_penalty"),
        (RESPONSES, {"input": [{"role": "user", "content": ["What?"]}]}, "input.0.content.0"),
        (RESPONSES, {"input": [{"role": "user", "content": "x", "surprise": 1}]}, "input.0.surprise"),
        (
            RESPONSES,
            in_part({"type": "input_text", "text": "x", "cache_control": {}}),
            "input.0.content.0.cache_control",
        ),
        (RESPONSES, in_part({"type": "output_text", "text": "x", "surprise": 1}), "input.0.content.0.surprise"),
        (RESPONSES, in_part({"type": "input_image", "image_url": "x", "fps": 1}), "input.0.content.0.fps"),
        (RESPONSES, in_part({"type": "input_image"}), "input.0.content.0.image_url"),
        (RESPONSES, in_part({"type": "input_file", "file_id": "x"}), "input.0.content.0: a file must have an image"),
        (RESPONSES, {"input": "x", "max_output_tokens": 5, "max_completion_tokens": 7}, "max_completion_tokens"),
        (OLLAMA_CHAT, {"messages": [{"role": "user", "content": "x", "surprise": 1}]}, "messages.0.surprise"),
        (OLLAMA_CHAT, {"messages": [{"role": "user", "content": "x"}], "options": {"tfs_z": 1}}, "options.tfs_z"),
        (OLLAMA_GENERATE, {"prompt": "x", "width": 5}, "width"),
    ],
)
def test_what_would_be_ignored_or_is_of_another_server_is_refused(
    strict_server: Running, path: str, body: dict[str, Any], name: str
) -> None:
    reply = strict_server.request("POST", path, {"model": "uhd-tiny", **body})
    assert (reply.status, refusal(path, reply.json).startswith(name)) == (400, True), reply.json
