"""With `--strict` nothing is adapted: what is unknown, or not in OpenAI's form, is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.running_server import CHAT, Running, about_the_bench, asked, running
from support.server.png import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

ASK = "?What?"


@pytest.fixture(scope="module")
def strict_server() -> Iterator[Running]:
    with running("--strict") as server:
        yield server


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
        (asked(plain(8, 8)), "messages"),
        ({"model": "uhd-tiny", "messages": [{"role": "assistant", "content": "What?"}]}, "messages"),
        (with_part({"type": "image_url", "image_url": "data:,x"}), "messages.0.content.1.image_url"),
        (with_part({"type": "image_url"}), "messages.0.content.1.image_url"),
        (with_part({"text": "What?"}), "messages.0.content.1"),
        (with_part({"type": "image_url", "image_url": {"url": "data:,x", "detail": "original"}}), None),
        ({"model": "uhd-tiny", "messages": [{"role": "user", "content": "What?", "surprise": 1}]}, None),
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
