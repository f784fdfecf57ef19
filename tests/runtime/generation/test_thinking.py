"""The model's thoughts and its answer are told apart, whatever is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.language_models.scripted import END, ScriptedModel

from uhd_edge.runtime.answer import Thought
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.conversation.answer_stream import AnswerStream
from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.generation.writing import write_answer
from uhd_edge.runtime.options import check_options

if TYPE_CHECKING:
    from uhd_edge.runtime.generation.writing import WrittenAnswer

pytestmark = pytest.mark.usefixtures("_reading_ahead")

THINKS = Bundle.open().manifest.prompt.model_copy(update={"chat_template": "{{ enable_thinking }}</think>"})


def write(model: ScriptedModel, *, in_thoughts: bool = True, **options: Any) -> tuple[str, str, WrittenAnswer]:
    """The thoughts and the text as they were streamed, and the answer as a whole."""
    settings: Any = check_options(options)  # type: ignore[arg-type]
    stream: Any = AnswerStream(write_answer(settings, model, THINKS, in_thoughts=in_thoughts))  # type: ignore[arg-type]
    pieces = list(stream)
    thoughts = "".join(piece for piece in pieces if isinstance(piece, Thought))
    text = "".join(piece for piece in pieces if not isinstance(piece, Thought))
    assert thoughts.strip() == stream.answer.thinking
    assert text.strip() == stream.answer.text
    return thoughts, text, stream.answer


def test_thoughts_and_answer_come_apart_as_they_are_streamed() -> None:
    model = ScriptedModel(["It ", "is red.", "\n", "</think>", "\n\n", "Red", ".", END])
    thoughts, text, answer = write(model)
    assert (thoughts, text) == ("It is red.\n", "\n\nRed.")
    assert (answer.thinking, answer.text, answer.finish_reason) == ("It is red.", "Red.", "stop")
    assert (answer.tokens, answer.thinking_tokens) == (8, 4)
    assert model.read == "It is red.\n</think>\n\nRed."


@pytest.mark.parametrize(
    "pieces",
    [["</think>"], ["</th", "ink>"], ["<", "/", "think", ">"], ["so</think>"], ["</think>\n"], ["</thi", "nk> "]],
)
def test_the_end_of_thoughts_is_found_in_pieces_too(pieces: list[str]) -> None:
    thoughts, text, answer = write(ScriptedModel(["a", *pieces, "Red", END]))
    assert thoughts in ("a", "aso")
    assert text.strip() == "Red"
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize("begun", ["</thi", "<think>", "< /think>", "</THINK>"])
def test_what_only_resembles_the_end_is_part_of_the_thoughts(begun: str) -> None:
    thoughts, text, _ = write(ScriptedModel(["a ", begun, " b", "</think>", "Red", END]))
    assert (thoughts, text) == (f"a {begun} b", "Red")


def test_thoughts_that_the_model_does_not_end_are_closed_for_it_and_an_answer_follows() -> None:
    model = ScriptedModel(["Hm", "</thi", END, "Red", END])
    thoughts, text, answer = write(model)
    assert (thoughts, text, answer.finish_reason) == ("Hm</thi", "Red", "stop")
    assert model.read == "Hm</thi\n</think>\n\nRed"


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_limit_closes_the_thoughts(limit: int) -> None:
    model = ScriptedModel([*["a"] * limit, "Red", END])
    thoughts, text, answer = write(model, think_tokens=limit)
    assert (thoughts, text) == ("a" * limit, "Red")
    assert model.read == f"{'a' * limit}\n</think>\n\nRed"
    assert answer.thinking_tokens == limit + len(model.vocabulary.tokenize("\n</think>\n\n"))


def test_thoughts_leave_room_in_the_context_for_the_answer() -> None:
    model = ScriptedModel(["a"] * 100, context=40)
    thoughts, text, answer = write(model, max_tokens=10)
    assert len(text) == 10
    assert len(thoughts) == 40 - 10 - len(model.vocabulary.tokenize("\n</think>\n\n"))
    assert answer.finish_reason == "length"


def test_without_room_for_thoughts_or_an_answer_both_are_empty() -> None:
    _, text, answer = write(ScriptedModel(["a"] * 9, context=3))
    assert (answer.thinking, text, answer.finish_reason) == ("", "", "length")


def test_stops_end_the_answer_and_not_the_thoughts() -> None:
    thoughts, text, answer = write(ScriptedModel(["a. b", "</think>", "c", ". d"]), stop=".")
    assert (thoughts, text, answer.finish_reason) == ("a. b", "c", "stop")


def test_a_grammar_begins_after_the_thoughts() -> None:
    model = ScriptedModel(["It has ", "three.", "</think>", "3", END])
    _, text, answer = write(model, schema={"type": "integer"})
    assert (text, answer.thinking) == ("3", "It has three.")
    assert [grammar is None for grammar in model.grammars] == [True, False]
    assert model.read == "It has three.</think>\n\n3"


def test_a_prompt_that_leaves_it_to_the_model_to_think_is_given_the_tag_before_a_grammar() -> None:
    model = ScriptedModel(["Three.", "</think>", "3", END])
    _, text, answer = write(model, in_thoughts=False, think=True, schema={"type": "integer"})
    assert (text, answer.thinking, model.read) == ("3", "Three.", "<think>\nThree.</think>\n\n3")


@pytest.mark.parametrize("pieces", [["<think>"], ["\n", "<thi", "nk>", "\n"], [" <think>"]])
def test_thoughts_that_the_model_begins_itself_are_thoughts(pieces: list[str]) -> None:
    thoughts, text, _ = write(ScriptedModel([*pieces, "Hm", "</think>", "Red", END]), in_thoughts=False)
    assert (thoughts.strip(), text) == ("Hm", "Red")


@pytest.mark.parametrize("said", ["A <think> tag", "</think>", "<thin air>", "<", " <thi"])
def test_a_tag_elsewhere_in_an_answer_is_text(said: str) -> None:
    for script in ([said, END], [*said, END]):
        thoughts, text, answer = write(ScriptedModel(script), in_thoughts=False)
        assert (thoughts, text, answer.finish_reason) == ("", said, "stop")


@pytest.mark.parametrize("options", [{"think": 1}, {"think": "yes"}, {"think_tokens": -1}, {"think_tokens": 1.5}])
def test_invalid_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        check_options(options)  # type: ignore[arg-type]
