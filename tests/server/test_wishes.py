"""Thinking and the choice of tools: one meaning in the words of every address, and what a model cannot do."""

from __future__ import annotations

from typing import Any

import pytest
from support.server.asking import AGENT, ALWAYS, PLAIN, STOP, TOOL, asked, chat, ollama_chat, responses

from uhd_edge.server.errors import ApiError
from uhd_edge.server.ollama.dialects import Ollama
from uhd_edge.server.openai.chat import ChatCompletions
from uhd_edge.server.responses.dialect import Responses

KWARGS = "chat_template_kwargs.enable_thinking"


@pytest.mark.parametrize(
    ("dialect", "words", "name"),
    [
        (ChatCompletions, lambda wish: {"think": wish}, "think"),
        (ChatCompletions, lambda wish: {"think": "high" if wish else "none"}, "think"),
        (ChatCompletions, lambda wish: {"thinking": {"type": "enabled" if wish else "disabled"}}, "thinking.type"),
        (ChatCompletions, lambda wish: {"enable_thinking": wish}, "enable_thinking"),
        (ChatCompletions, lambda wish: {"reasoning": {"enabled": wish}}, "reasoning.enabled"),
        (ChatCompletions, lambda wish: {"reasoning_effort": "xhigh" if wish else "minimal"}, "reasoning_effort"),
        (ChatCompletions, lambda wish: {"chat_template_kwargs": {"enable_thinking": wish}}, KWARGS),
        (ChatCompletions, lambda wish: {"chat_template_kwargs": {"thinking": wish}}, "chat_template_kwargs.thinking"),
        (Responses, lambda wish: {"reasoning": {"effort": "low" if wish else "none"}}, "reasoning.effort"),
        (Responses, lambda wish: {"think": wish}, "think"),
        (lambda model: Ollama(model, "chat"), lambda wish: {"think": wish}, "think"),
        (lambda model: Ollama(model, "generate"), lambda wish: {"think": "low" if wish else "none"}, "think"),
    ],
)
def test_a_wish_about_thinking_is_followed_or_named_in_all_words(dialect: Any, words: Any, name: str) -> None:
    for wish in (True, False):
        followed = asked(dialect(AGENT), **words(wish))
        assert (followed.options["think"], followed.ignored) == (wish, ())
        for model, can in ((PLAIN, not wish), (ALWAYS, False)):
            question = asked(dialect(model), **words(wish))
            assert ("think" in question.options, question.ignored) == (False, () if can else (name,))


def test_a_wish_about_thinking_that_cannot_be_followed_is_refused_strictly() -> None:
    for model, wish, said in ((PLAIN, True, "cannot be asked to think"), (ALWAYS, False, "always thinks")):
        for dialect in (ChatCompletions(model, strict=True), Responses(model, strict=True)):
            with pytest.raises(ApiError, match=f"{said}.*; leave out think"):
                asked(dialect, think=wish)
        with pytest.raises(ApiError, match=f"{said}.*; leave out think"):
            asked(Ollama(model, "chat", strict=True), think=wish)


def test_ollamas_models_think_only_if_they_are_asked_to() -> None:
    assert asked(ollama_chat).options["think"] is False
    assert "think" not in asked(chat).options
    assert asked(Ollama(ALWAYS, "chat")).ignored == ()


def named(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": name}} for name in names]


@pytest.mark.parametrize(
    ("choice", "names", "chosen"),
    [
        ("none", ["go", "stop"], "none"),
        ({"type": "function", "function": {"name": "go"}}, ["go", "stop"], "go"),
        ({"type": "function", "name": "go"}, ["go", "stop"], "go"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": named("stop")}}, ["stop"], "auto"),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"name": "stop"}]}, ["stop"], "required"),
    ],
)
def test_a_choice_of_tools_may_be_written_in_several_ways(choice: Any, names: list[str], chosen: str) -> None:
    for dialect, tools in ((chat, [TOOL, STOP]), (responses, [{"type": "function", "name": "go"}, STOP])):
        options = asked(dialect, tools=tools, tool_choice=choice).options
        assert ([tool.name for tool in options["tools"] or ()], options["tool_choice"]) == (names, chosen)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("any", "tool_choice is 'any'; it must be one of auto, none, required, or an object"),
        (
            {"type": "custom", "custom": {"name": "go"}},
            "tool_choice is of the type 'custom'; it must be function or allowed_tools",
        ),
        ({"type": "function"}, "tool_choice must name its function"),
        ({"type": "allowed_tools"}, "needs a mode"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}, "must name its function"),
        ({"type": "allowed_tools", "mode": "auto", "tools": named("run")}, "'run', which is none of the tools"),
    ],
)
def test_a_choice_that_there_is_not_is_refused_in_a_line(choice: Any, said: str) -> None:
    for dialect, tools in ((chat, [TOOL]), (responses, [{"type": "function", "name": "go"}])):
        with pytest.raises(ApiError, match=said) as refused:
            asked(dialect, tools=tools, tool_choice=choice)
        assert refused.value.param == "tool_choice"


def test_a_model_without_tools_has_none_where_none_may_be_called() -> None:
    for dialect in (ChatCompletions(PLAIN), Responses(PLAIN)):
        question = asked(dialect, tools=[STOP], tool_choice="none")
        assert (question.options, question.ignored) == ({}, ())
        assert asked(dialect, tools=[STOP]).options["tools"]  # which the assistant refuses


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop.1"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"think": 5}, "think"),
        ({"thinking": {"type": "much"}}, "thinking.type"),
        ({"thinking": {"type": ["enabled"]}}, "thinking.type"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name",
        ),
    ],
)
def test_an_error_names_a_place_of_the_request(body: dict[str, Any], place: str) -> None:
    with pytest.raises(ApiError) as refused:
        asked(chat, **body)
    assert refused.value.param == place
