"""Requests that cannot be followed, with the parameter that is at fault."""

from __future__ import annotations

from typing import Any

import pytest
from support.running_server import CHAT, Running, asked

ASK = "?What?"
TOOL = {"type": "function", "function": {"name": "stop"}}


def with_part(part: dict[str, Any]) -> dict[str, Any]:
    return {"model": "uhd-tiny", "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, part]}]}


def in_format(kind: str, **more: Any) -> dict[str, Any]:
    return {"response_format": {"type": kind, **more}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (asked(ASK, n=9), "n"),
        (asked(ASK, tools=[{"type": "function"}]), "tools.0"),
        (asked(ASK, logprobs=True, top_logprobs=21), "top_logprobs"),
        (asked(ASK, logit_bias={"dog": 1}), "logit_bias"),
        (asked(ASK, logit_bias={"5": 101}), "logit_bias"),
        (asked(ASK, ignore_eos=True), "ignore_eos"),
        (asked(ASK, guided_regex="a+"), "guided_regex"),
        (asked(ASK, structured_outputs={"regex": "a+"}), "structured_outputs"),
        (asked(ASK, audio={"voice": "x"}), "audio"),
        (asked(ASK, temperature="hot"), "temperature"),
        (asked(ASK, stream="perhaps"), "stream"),
        (asked(ASK, stream="true"), "stream"),
        (asked(ASK, max_tokens=True), "max_tokens"),
        (asked(ASK, max_tokens="5"), "max_tokens"),
        (asked(ASK, temperature="0.5"), "temperature"),
        (asked(ASK, mode="9x"), "mode"),
        ({"model": "uhd-tiny"}, "messages"),
        ({"model": "uhd-tiny", "messages": []}, "messages"),
        ({"model": "uhd-tiny", "messages": [{"role": "narrator", "content": "What?"}]}, "messages.0.role"),
        (asked(ASK, tool_choice="required"), "tool_choice"),
        (asked(ASK, tools=[TOOL], tool_choice={"type": "function", "function": {"name": "go"}}), "tool_choice"),
        ({"model": "uhd-tiny", "messages": [{"role": "user", "content": " "}]}, "messages.0.content"),
        ({"model": "uhd-tiny", "messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"model": "uhd-tiny", "messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"model": "uhd-tiny", "messages": ["What?"]}, "messages.0"),
        (with_part({"type": "image_url", "image_url": "data:,x"}), "messages.0.content.1.image_url"),
        (with_part({"type": "image_url"}), "messages.0.content.1.image_url"),
        (with_part({"type": "input_audio", "input_audio": {"data": "x"}}), "messages.0.content.1"),
        (with_part({"type": "input_image", "file_id": "file-1"}), "messages.0.content.1.file_id"),
        (with_part({"type": "video", "video": []}), "messages.0.content.1.video"),
        (with_part({"type": "surprise"}), "messages.0.content.1"),
        (with_part({"type": "text", "text": 5}), "messages.0.content.1.text"),
        (with_part({"type": "video_url", "video_url": {"url": "x"}}), "messages.0.content.1.video_url.url"),
        (asked(ASK, **in_format("json_schema")), "response_format"),
        (asked(ASK, **in_format("yaml")), "response_format.type"),
    ],
)
def test_a_parameter_that_cannot_be_followed_is_named(server: Running, body: Any, param: str) -> None:
    reply = server.request("POST", CHAT, body)
    assert (reply.status, reply.error["type"], reply.error["param"]) == (400, "invalid_request_error", param)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 0}, "max_completion_tokens"),
        ({"logit_bias": {"999999": 1}}, "logit_bias"),
        ({"presence_penalty": 2.5}, "presence_penalty"),
        ({"stop": [""]}, "stop"),
        ({"max_slices": 0}, "max_slices"),
        ({"reasoning_effort": "much"}, "reasoning_effort is 'much'; it must be one of none, minimal, low"),
        ({"tools": [TOOL]}, "cannot call functions"),
        (in_format("json_schema", json_schema={"name": "x", "schema": {"type": "surprise"}}), "schema"),
        (in_format("json_schema", json_schema={"name": "x", "schema": {"$ref": "https://example.org/x"}}), "example"),
        (in_format("json_schema", json_schema={"name": "x", "schema": {"minimum": "a"}}), "schema"),
    ],
)
def test_a_value_without_sense_is_refused_before_anything_is_answered(
    server: Running, parameters: dict[str, Any], said: str
) -> None:
    for streaming in (False, True):
        reply = server.request("POST", CHAT, asked(ASK, stream=streaming, **parameters))
        assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")
        assert said in reply.error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff\xfe", b"[" * 100_000, b'{"model": 1e999}'])
def test_a_body_that_is_no_request_is_refused(server: Running, body: bytes) -> None:
    assert server.request("POST", CHAT, body).status == 400


def test_a_text_that_stands_for_an_image_is_refused(server: Running) -> None:
    assert server.request("POST", CHAT, asked("?What is <|image_pad|>?")).status == 400


def test_a_conversation_that_is_too_long_is_refused(server: Running) -> None:
    reply = server.request("POST", CHAT, asked("?" + "what " * 5000))
    assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")
