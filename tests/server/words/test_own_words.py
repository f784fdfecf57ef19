"""With `--strict` each address takes its own API's words and this server's, and says what to send instead of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.server.asking import AGENT, SAID, TOOL, asked, chat, ollama_chat, ollama_generate, responses

from uhd_edge.server.errors import ApiError
from uhd_edge.server.ollama.dialects import Ollama
from uhd_edge.server.openai.chat import ChatCompletions
from uhd_edge.server.openai.own_words import OURS
from uhd_edge.server.responses.dialect import Responses

if TYPE_CHECKING:
    from uhd_edge.server.dialect import Dialect

STRICT: dict[Dialect, Dialect] = {
    chat: ChatCompletions(AGENT, strict=True),
    responses: Responses(AGENT, strict=True),
    ollama_chat: Ollama(AGENT, "chat", strict=True),
    ollama_generate: Ollama(AGENT, "generate", strict=True),
}
URI = "data:;base64,AAAA"
PLAIN = [{"type": "text", "text": "What?"}]
SCHEMA = {"type": "object", "properties": {}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
OWN: dict[str, Any] = {
    "mode": "4x",
    "max_slices": 2,
    "min_pixels": 4,
    "max_pixels": 9,
    "budget_ms": 5000,
    "budget_share": 0.5,
    "think_tokens": 5,
}
MORE: dict[str, Any] = {
    "fps": 2,
    "max_frames": 4,
    "think": True,
    "chat_template_kwargs": {"enable_thinking": True},
    "top_k": 5,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
}


def in_turn(part: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [part, {"type": "input_text", "text": "What?"}]}]}


def turn(**said: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", **said}, *SAID]


@pytest.mark.parametrize(("name", "value"), (OWN | MORE).items())
def test_this_servers_own_words_are_taken_in_both_manners(name: str, value: Any) -> None:
    for lenient in (chat, responses):
        for dialect in (lenient, STRICT[lenient]):
            assert asked(dialect, **{name: value}).ignored == ()


def test_its_own_words_are_those() -> None:
    assert {*OWN, *MORE, "details"} == OURS
    assert asked(STRICT[chat], details=True).ignored == ()


@pytest.mark.parametrize(("name", "value"), OWN.items())
def test_ollamas_addresses_take_them_beside_the_messages_and_in_the_options(name: str, value: Any) -> None:
    for lenient in (ollama_chat, ollama_generate):
        for dialect in (lenient, STRICT[lenient]):
            beside, within = asked(dialect, **{name: value}), asked(dialect, options={name: value})
            assert (beside.options, beside.ignored) == (within.options, within.ignored)
            assert within.ignored == ()
            assert name.endswith("pixels") or within.options[name] == value  # type: ignore[literal-required]


CHATS_ONLY = (
    ({"max_tokens": 5}, "max_tokens", "max_output_tokens"),
    ({"max_completion_tokens": 5}, "max_completion_tokens", "max_output_tokens"),
    ({"response_format": FORMAT}, "response_format", "text.format"),
    ({"reasoning_effort": "low"}, "reasoning_effort", "reasoning.effort"),
    ({"logprobs": True}, "logprobs", "include with message.output_text.logprobs"),
    ({"seed": 5}, "seed", None),
    ({"stop": "x"}, "stop", None),
    ({"presence_penalty": 0.5}, "presence_penalty", None),
    ({"logit_bias": {"5": 1}}, "logit_bias", None),
    ({"n": 1}, "n", None),
    ({"reasoning": {"enabled": True}}, "reasoning.enabled", "think"),
    ({"reasoning": {"max_tokens": 5}}, "reasoning.max_tokens", "think_tokens"),
    (in_turn({"type": "text", "text": "x"}), "input.0.content.0.type", "input_text"),
    (in_turn({"type": "image_url", "image_url": {"url": URI}}), "input.0.content.0.type", "input_image"),
    ({"input": turn(tool_calls=[])}, "input.1.tool_calls", "an item of the type function_call"),
    ({"input": turn(reasoning_content="Hm.")}, "input.1.reasoning_content", "an item of the type reasoning"),
    ({"tools": [TOOL]}, "tools.0.function", "its name and parameters beside the type"),
    ({"tools": [{"type": "function", "name": "go", "input_schema": SCHEMA}]}, "tools.0.input_schema", "parameters"),
)


@pytest.mark.parametrize(("body", "name", "instead"), CHATS_ONLY)
def test_responses_have_no_words_of_chats(body: dict[str, Any], name: str, instead: str | None) -> None:
    asked(responses, **body)
    with pytest.raises(ApiError) as refused:
        asked(STRICT[responses], **body)
    told = "" if instead is None else f"; send {instead}"
    assert str(refused.value) == f"{name} is not a parameter of this address (--strict){told}"
    assert (refused.value.status, refused.value.param) == (400, name)


@pytest.mark.parametrize(
    ("lenient", "body", "name"),
    [
        (responses, in_turn({"type": "input_image", "image_url": {"url": URI}}), "input.0.content.0.image_url"),
        (chat, {"tools": [{"type": "function", "name": "go"}]}, "tools.0"),
        (chat, {"tools": [{"type": "function", "function": {"name": "go", "input_schema": {}}}]}, "tools.0.function.i"),
        (chat, {"tools": [{**TOOL, "parameters": SCHEMA}]}, "tools.0.parameters"),
        (chat, {"tools": [{"name": "go", "inputSchema": SCHEMA}]}, "tools.0"),
        (ollama_chat, {"tools": [{"name": "go", "inputSchema": SCHEMA}]}, "tools.0"),
        (ollama_chat, {"messages": turn(reasoning_content="Hm.")}, "messages.1.reasoning_content"),
        (ollama_chat, {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "messages.0.con"),
        (ollama_chat, {"temperature": 0.5}, "temperature"),
        (ollama_chat, {"options": {"details": True}}, "options.details"),
        (ollama_generate, {"max_tokens": 5}, "max_tokens"),
        (ollama_generate, {"tools": [{"name": "go"}]}, "tools would be ignored"),
    ],
)
def test_other_words_are_refused_with_strict_alone(lenient: Dialect, body: dict[str, Any], name: str) -> None:
    asked(lenient, **body)
    with pytest.raises(ApiError) as refused:
        asked(STRICT[lenient], **body)
    assert str(refused.value).startswith(name)
    assert str(refused.value.param).startswith(name.partition(" ")[0])


@pytest.mark.parametrize("detail", ["auto", "low", "high", "original"])
def test_all_details_of_openai_are_taken_in_both_manners(detail: str) -> None:
    picture = {"type": "image_url", "image_url": {"url": URI, "detail": detail}}
    item = {"type": "input_image", "image_url": URI, "detail": detail}
    for lenient, body in (
        (chat, {"messages": [{"role": "user", "content": [picture, *PLAIN]}]}),
        (responses, in_turn(item)),
    ):
        for dialect in (lenient, STRICT[lenient]):
            question = asked(dialect, **body)
            assert ([one.detail for one in question.media], question.ignored) == ([detail], ())


def test_a_picture_of_responses_has_a_mode_of_its_own_in_both_manners() -> None:
    for dialect in (responses, STRICT[responses]):
        (seen,) = asked(
            dialect, **in_turn({"type": "input_image", "image_url": URI, "mode": "4x", "max_pixels": 9})
        ).media
        assert (seen.mode, seen.max_pixels) == ("4x", 9)
