"""Tools in questions and sessions: calls come out, results go in, and logits stay those of reading anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.agents.templates import AGENT_TEMPLATE, JSON_AGENT_TEMPLATE
from support.conversations.retold import LONG_QUESTION, first_logits
from support.images.squares import picture

from uhd_edge.runtime import Assistant, Bundle, ImagePart, Message, TextPart, ToolCall, ToolResult
from uhd_edge.runtime.errors import OptionError, PromptError

if TYPE_CHECKING:
    from collections.abc import Iterator


def turn(direction: str, degrees: int = 90) -> str:
    """Turn around."""
    raise NotImplementedError


TURN = {
    "type": "function",
    "function": {
        "name": "turn",
        "parameters": {
            "type": "object",
            "properties": {"direction": {"enum": ["left", "right"]}, "degrees": {"type": "integer", "maximum": 9}},
            "required": ["direction"],
        },
    },
}
STOP = {"type": "function", "function": {"name": "stop", "description": "Stand still."}}


def with_template(bundle: Bundle, template: str = AGENT_TEMPLATE) -> Bundle:
    prompt = bundle.manifest.prompt.model_copy(update={"chat_template": template})
    return Bundle(bundle.path, bundle.manifest.model_copy(update={"prompt": prompt}))


@pytest.fixture(scope="module")
def agent(qwen3_bundle: Bundle) -> Iterator[Assistant]:
    with Assistant(with_template(qwen3_bundle), threads=1) as assistant:
        yield assistant


@pytest.mark.parametrize("template", [AGENT_TEMPLATE, JSON_AGENT_TEMPLATE])
@pytest.mark.parametrize("seed", range(3))
def test_a_required_call_fits_its_tool(qwen3_bundle: Bundle, template: str, seed: int) -> None:
    with Assistant(with_template(qwen3_bundle, template), threads=1) as assistant:
        answer = assistant.ask("Turn.", tools=[TURN, STOP], tool_choice="turn", temperature=2.0, seed=seed)
    (call,) = answer.tool_calls
    assert call.name == "turn"
    assert call.arguments["direction"] in ("left", "right")
    assert call.arguments.get("degrees", 1) <= 9
    assert (answer.text, answer.finish_reason) == ("", "stop")
    assert answer.to_dict()["tool_calls"] == [{"name": "turn", "arguments": call.arguments}]


@pytest.mark.parametrize("think", [None, True])
def test_a_session_with_calls_and_results_has_the_logits_of_reading_it_anew(
    trained: Bundle, think: bool | None
) -> None:
    bundle = with_template(trained)
    options: dict[str, Any] = {"tools": [TURN, STOP], "think": think, "think_tokens": 9}
    with Assistant(bundle, threads=1) as assistant, Assistant(bundle, threads=1) as fresh:
        session = assistant.session(picture())
        told = [Message("user", (ImagePart(), TextPart(LONG_QUESTION)))]
        question: Any = LONG_QUESTION
        for number in range(4):
            options |= (
                {"tool_choice": "none", "max_tokens": 6} if number % 2 else {"tool_choice": "turn", "max_tokens": 80}
            )
            logits, _, answer = first_logits(assistant, session.steps(question, **options))
            expected, _, other = first_logits(fresh, fresh.steps([picture()], told, **options))
            np.testing.assert_allclose(
                logits, expected, atol=0 if bundle.manifest.llm.architecture == "qwen3" else 1e-3
            )
            assert (answer.text, answer.tool_calls) == (other.text, other.tool_calls)
            told.append(Message("assistant", (TextPart(answer.text),), answer.thinking, answer.tool_calls))
            if answer.tool_calls:
                question = [ToolResult(answer.tool_calls[0], {"done": number})]
                told.append(Message("tool", (TextPart(f'{{"done": {number}}}'),)))
            else:
                question = "And now?"
                told.append(Message("user", (TextPart(question),)))
        assert answer.usage.cached_tokens > answer.usage.prompt_tokens / 2


def test_a_session_keeps_its_tools_until_others_are_given(agent: Assistant) -> None:
    session = agent.session()
    first = session.ask("Turn.", tools=[STOP], tool_choice="stop")
    assert first.tool_calls == (ToolCall("stop", {}),)
    assert session.ask("Turn.", tool_choice="required").tool_calls == (ToolCall("stop", {}),)
    assert session.fork().ask("Turn.", tool_choice="stop").tool_calls == (ToolCall("stop", {}),)
    with pytest.raises(OptionError, match="tool_choice is 'stop'"):
        session.ask("Turn.", tools=[turn], tool_choice="stop")
    session.ask("Turn.", tools=[], max_tokens=2)
    with pytest.raises(OptionError, match="there are no tools"):
        session.ask("Turn.", tool_choice="required")


def test_results_belong_to_the_calls_before(agent: Assistant) -> None:
    session = agent.session()
    stop = ToolCall("stop", {})
    with pytest.raises(PromptError, match="the answer before has no calls"):
        session.ask([ToolResult(stop, "done")])
    session.ask("Turn.", tools=[STOP], tool_choice="stop")
    with pytest.raises(PromptError, match="there is no result of stop"):
        session.ask([ToolResult(ToolCall("turn", {}), "done")])
    with pytest.raises(PromptError, match="belongs to no call"):
        session.ask([ToolResult(stop, "done"), ToolResult(stop, "done")])
    with pytest.raises(PromptError, match="a list of `ToolResult`s"):
        session.ask([])  # nothing at all
    session.ask([ToolResult(stop, None)], images=picture(), max_tokens=3)
    assert [question for question, _ in session.history] == ["Turn.", ""]
    with pytest.raises(PromptError, match="no text and no JSON"):
        ToolResult(stop, object())


def test_a_call_and_its_result_are_dropped_together(qwen3_bundle: Bundle) -> None:
    with Assistant(with_template(qwen3_bundle), threads=1, context=400) as assistant:
        session = assistant.session(drop_oldest=True)
        answer = session.ask("Turn.", tools=[STOP], tool_choice="stop")
        session.ask([ToolResult(answer.tool_calls[0], "word " * 20)], max_tokens=3)
        last = session.ask("word " * 40, max_tokens=3)
        dropped = session.ask("word " * 40, max_tokens=3)
    assert last.dropped_turns + dropped.dropped_turns in (2, 3)
    assert all(question for question, _ in session.history) or session.history == ()


def test_a_model_without_tools_says_so(assistant: Assistant) -> None:
    with pytest.raises(OptionError, match="cannot call functions, as its chat template does not take tools"):
        assistant.ask("Turn.", tools=[STOP])


@pytest.mark.parametrize("choice", ["auto", "required", "none"])
def test_beside_a_schema_an_answer_is_json_or_calls(agent: Assistant, choice: str) -> None:
    """Calls first: a value is read only from an answer without them."""
    kinds = set()
    for seed in range(12 if choice == "auto" else 2):
        drawn: Any = {"temperature": 4.0, "seed": seed, "max_tokens": 200, "parallel_tool_calls": False}
        answer = agent.ask("Turn.", tools=[TURN], tool_choice=choice, schema={"enum": [1, 2]}, **drawn)
        kinds.add(bool(answer.tool_calls))
        assert answer.parsed in ((None,) if answer.tool_calls else (1, 2))
        assert (answer.text == "") == bool(answer.tool_calls)
    assert kinds == {"auto": {True, False}, "required": {True}, "none": {False}}[choice]
