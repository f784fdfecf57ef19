"""What an error says is true at every address, and in words of JSON and of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.running_server import CHAT, Running
from support.server.asking import SAID
from support.server.every_address import OLLAMA_CHAT, OLLAMA_GENERATE, RESPONSES, refusal

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.conversation.request import Budget
from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.validation import require_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

LEAST: Mapping[str, dict[str, Any]] = {
    CHAT: {"messages": SAID},
    RESPONSES: {"input": "What?"},
    OLLAMA_CHAT: {"messages": SAID},
    OLLAMA_GENERATE: {"prompt": "What?"},
}
CALLED = {"type": "function", "function": {"name": "f"}}
ITEMS = "it must be text or a list of items"


def content(of_a_message: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": of_a_message}]}


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (RESPONSES, {"input": None}, f"input is missing; {ITEMS}"),
        (RESPONSES, {"input": 5}, f"input is a number; {ITEMS}"),
        (RESPONSES, {"input": []}, f"input is an empty list; {ITEMS}"),
        (RESPONSES, {"instructions": 0}, "instructions: it must be text or a list of parts"),
        (RESPONSES, {"truncation": "foo"}, "truncation is 'foo'; it must be auto or disabled"),
        (CHAT, content(5), "messages.0.content: it must be text or a list of parts"),
        (CHAT, content([5]), "messages.0.content.0: it must be an object"),
        (CHAT, content([{"type": "{x}"}]), "messages.0.content.0: a part of the type '{x}' is not supported; send"),
        (CHAT, content([{"type": "text", "text": 5}]), "messages.0.content.0.text: it must be text"),
        (CHAT, {"messages": "hello"}, "messages: it must be a list"),
        (CHAT, {"stop": 5}, "stop: it must be text or a list"),
        (CHAT, {"think": []}, "think: it must be true or false or text"),
        (CHAT, {"tool_choice": 5}, "tool_choice: it must be text or an object"),
        (CHAT, {"response_format": "json"}, "response_format: it must be an object"),
        (CHAT, {"logit_bias": {"{x}": "y"}}, "logit_bias: the value of '{x}' is no number"),
        (CHAT, {"tool_choice": CALLED}, "tool_choice is 'f', but there are no tools; give some"),
        (CHAT, {"tools": [{"type": "web_search"}]}, "tools.0 is of the type 'web_search', which is not supported"),
        (CHAT, {"tools": [{"type": "web_search", "name": "x"}]}, "tools.0 is of the type 'web_search'"),
        (CHAT, {"budget_ms": 1e-9}, "budget_ms is 1e-09; it must be a number of milliseconds of at least 0.001"),
        (CHAT, {"n": 10**99}, "n is 1e99 or so; it must be from 1 to 8"),
        (CHAT, {"max_tokens": -(10**99)}, "max_tokens is -1e99 or so; it must be from 1 to"),
        (OLLAMA_CHAT, {"format": "xml"}, "format is 'xml'; it must be \"json\" or a JSON schema"),
        (OLLAMA_CHAT, content(0), "messages.0.content: it must be text or a list of parts"),
        (OLLAMA_GENERATE, {"prompt": 5}, "prompt is a number; it must be text"),
        (OLLAMA_GENERATE, {"system": 5}, "system is a number; it must be text"),
    ],
)
def test_an_error_says_what_may_be_there(server: Running, path: str, body: dict[str, Any], told: str) -> None:
    reply = server.request("POST", path, {"model": "uhd-tiny", **LEAST[path], **body})
    message = refusal(path, reply.json)
    assert (reply.status, message[: len(told)]) == (400, told)
    assert len(message) < 200


@pytest.mark.parametrize("path", [OLLAMA_CHAT, OLLAMA_GENERATE])
def test_base64_too_short_for_an_image_is_said_to_be_so(server: Running, path: str) -> None:
    images: dict[str, Any] = {"images": ["aGVsbG8="]}
    body = images if path == OLLAMA_GENERATE else {"messages": [{"role": "user", "content": "x", **images}]}
    reply = server.request("POST", path, {"model": "uhd-tiny", **LEAST[path], **body})
    assert (reply.status, "or base64 of at least 48 characters; this" in refusal(path, reply.json)) == (400, True)


@pytest.mark.parametrize("digits", [40, 4000, 5000, 100_000])
def test_a_number_of_any_length_is_refused_in_a_short_line(digits: int) -> None:
    for number in (10**digits, -(10**digits)):
        with pytest.raises(OptionError) as refused:
            require_whole("max_tokens", number, 1, 9)
        assert f"1e{digits} or so" in str(refused.value)
    with Assistant(threads=1) as assistant, pytest.raises(OptionError, match=r"^max_tokens is 1e"):
        assistant.ask("What?", max_tokens=10**digits)


def test_the_least_budget_that_is_told_is_taken() -> None:
    assert Budget(0.001, ()).milliseconds == 0.001
