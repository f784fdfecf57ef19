"""Any answer that a model may draw, in any tokens: halves of tags, tags within a text, blocks without an end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from support.agents.templates import AGENT_TEMPLATE
from support.language_models.scripted import END, ScriptedModel

from uhd_edge.runtime.answer import Thought, ToolCall
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.conversation.answer_stream import AnswerStream
from uhd_edge.runtime.generation.writing import write_answer
from uhd_edge.runtime.options import check_options

if TYPE_CHECKING:
    from uhd_edge.runtime.generation.writing import WrittenAnswer

pytestmark = pytest.mark.usefixtures("_reading_ahead")

PROMPT = Bundle.open().manifest.prompt
THINKS = PROMPT.model_copy(update={"chat_template": "{{ enable_thinking }}</think>"})
CALLS = PROMPT.model_copy(update={"chat_template": AGENT_TEMPLATE})
MOVE = {"name": "move", "parameters": {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}}
BODY = "<function=move>\n<parameter=to>\nA </tool_call>\n</parameter>\n</function>"

# What is drawn often where it matters, and what only resembles it.
WORDS = ("</think>", "<think>", "</thi", "nk>", "<", "</", "a", " ", "\n", "\n\n", "ä 你", "</THINK>", "< /think>")
CALL_WORDS = ("<tool_call>", "</tool_call>", "<tool", "_call>", "<tool_call", "a", " ", "\n", "<function=move>", "x\n")


def written(prompt: Any, script: list[str], *, in_thoughts: bool, **options: Any) -> WrittenAnswer:
    """The answer as a whole, after a look that the stream's pieces are the same."""
    model: Any = ScriptedModel(script)
    stream: Any = AnswerStream(write_answer(check_options(options), model, prompt, in_thoughts=in_thoughts))  # type: ignore[arg-type]
    pieces = list(stream)
    assert "".join(piece for piece in pieces if isinstance(piece, Thought)).strip() == stream.answer.thinking
    assert "".join(piece for piece in pieces if not isinstance(piece, Thought)).strip() == stream.answer.text
    return stream.answer  # type: ignore[no-any-return]


@st.composite
def in_tokens(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> list[str]:
    """A text in pieces that begin and end anywhere."""
    text = draw(texts)
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=len(text))))
    return [piece for piece in (text[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)) if piece]


def texts(words: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(words), max_size=8).map("".join)


drawn = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@drawn
@given(tokens=in_tokens(texts(WORDS)))
@example(tokens=["</thi", "nk", ">", "</think>"])
def test_thoughts_end_with_the_first_tag_and_nowhere_else(tokens: list[str]) -> None:
    thoughts, tag, text = "".join(tokens).partition("</think>")
    answer = written(THINKS, [*tokens, END, "Red", END], in_thoughts=True)
    assert answer.thinking == thoughts.strip()
    assert answer.text == (text.strip() if tag else "Red")  # without an end it is closed, and an answer follows


@drawn
@given(tokens=in_tokens(texts(WORDS)))
def test_thoughts_that_are_not_asked_for_begin_with_a_tag_in_front_of_everything(tokens: list[str]) -> None:
    whole = "".join(tokens)
    begun = whole.lstrip().startswith("<think>")
    thoughts, tag, text = whole.lstrip().removeprefix("<think>").partition("</think>") if begun else ("", "</", whole)
    answer = written(THINKS, [*tokens, END, "Red", END], in_thoughts=False)
    assert answer.thinking == thoughts.strip()
    assert answer.text == (text.strip() if tag else "Red")


@drawn
@given(said=st.lists(in_tokens(texts(CALL_WORDS)), min_size=1, max_size=3), opening=in_tokens(st.just("<tool_call>\n")))
def test_a_call_begins_with_its_tag_on_a_line_of_its_own_and_nowhere_else(
    said: list[list[str]], opening: list[str]
) -> None:
    """Between the texts are calls."""
    spoken = ["".join(tokens) + "\n" for tokens in said]
    assume(not any(re.search(r"(^|\n)[ \t]*<tool_call>\n", text) for text in spoken))  # that would be a call too
    call = ["\n", *opening, BODY, END]
    script = [piece for tokens in said[:-1] for piece in (*tokens, *call)]
    answer = written(CALLS, [*script, *said[-1], END], in_thoughts=False, tools=[MOVE])
    assert answer.tool_calls == (ToolCall("move", {"to": "A </tool_call>"}),) * (len(said) - 1)
    assert answer.text == "".join(spoken).strip()
