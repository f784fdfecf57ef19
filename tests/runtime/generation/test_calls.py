"""Calls of tools are told apart from an answer's text, whatever is drawn, streamed and whole alike."""

from __future__ import annotations

from typing import Any

import pytest
from support.agents.templates import AGENT_TEMPLATE, JSON_AGENT_TEMPLATE
from support.language_models.scripted import END, ScriptedModel

from uhd_edge.runtime.answer import Thought, ToolCall
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.conversation.answer_stream import AnswerStream
from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.generation.writing import write_answer
from uhd_edge.runtime.options import check_options
from uhd_edge.runtime.schema.answer_schema import answer_schema

pytestmark = pytest.mark.usefixtures("_reading_ahead")

MOVE = {
    "name": "move",
    "parameters": {
        "type": "object",
        "properties": {"metres": {"type": "number"}, "to": {"type": "string"}},
        "required": ["metres"],
    },
}
BODY = "<function=move>\n<parameter=metres>\n1.5\n</parameter>\n</function>"
CALL = ToolCall("move", {"metres": 1.5})


def write(model: ScriptedModel, *, template: str = AGENT_TEMPLATE, in_thoughts: bool = False, **options: Any) -> Any:
    """The answer as a whole, whose text is that of the stream."""
    prompt = Bundle.open().manifest.prompt.model_copy(update={"chat_template": template})
    settings: Any = check_options({"tools": [MOVE], **options})  # type: ignore[typeddict-item]
    stream: Any = AnswerStream(write_answer(settings, model, prompt, in_thoughts=in_thoughts))  # type: ignore[arg-type]
    text = "".join(piece for piece in stream if not isinstance(piece, Thought))
    assert text.strip() == stream.answer.text
    return stream.answer


@pytest.mark.parametrize(
    "opening", [["<tool_call>", "\n"], ["<tool", "_call>", "\n"], ["<tool_call>\n"], ["\n\n", "<tool_call>", "\n"]]
)
def test_a_call_is_read_and_its_grammar_begins_after_the_tag(opening: list[str]) -> None:
    model = ScriptedModel([*opening, BODY, END, END])
    answer = write(model)
    assert (answer.text, answer.tool_calls, answer.finish_reason) == ("", (CALL,), "stop")
    assert [grammar is None for grammar in model.grammars] == [True, False, True]
    assert model.read.strip() == f"<tool_call>\n{BODY}\n</tool_call>"


def test_text_and_several_calls_come_apart() -> None:
    script = ["I go.", "\n\n", "<tool_call>", "\n", BODY, END, "\n", "<tool_call>", "\n", BODY, END, " Done.", END]
    answer = write(ScriptedModel(script))
    assert answer.text == "I go.\n\n\n Done."
    assert answer.tool_calls == (CALL, CALL)


def test_an_answer_may_be_limited_to_one_call() -> None:
    model = ScriptedModel(["I go.", "\n", "<tool_call>", "\n", BODY, END, "\n", "<tool_call>", "\n", BODY, END, END])
    answer = write(model, parallel_tool_calls=False)
    assert (answer.text, answer.tool_calls, answer.finish_reason) == ("I go.", (CALL,), "stop")
    assert model.read == f"I go.\n<tool_call>\n{BODY}"
    with pytest.raises(OptionError, match="parallel_tool_calls is 1; it must be True or False"):
        write(model, parallel_tool_calls=1)


def test_beside_a_schema_the_tag_of_a_call_is_looked_for_before_the_grammar_begins() -> None:
    schema = {"enum": [1]}
    model = ScriptedModel(["<tool_call>", "\n", BODY, END, END])
    answer = write(model, schema=schema)
    assert (answer.text, answer.tool_calls, model.read.strip()) == ("", (CALL,), f"<tool_call>\n{BODY}\n</tool_call>")
    model = ScriptedModel(["I", "1", END])
    answer = write(model, schema=schema)
    assert (answer.text, answer.tool_calls, answer.tokens, model.read) == ("1", (), 2, "1")
    looked_for, kept_to = model.grammars
    assert looked_for is None
    assert kept_to == answer_schema(schema).grammar


def test_json_calls_are_read_where_the_template_has_them() -> None:
    script = ["<tool_call>", "\n", '{"name": "move", "arguments": {"metres": 1.5}}', END, END]
    assert write(ScriptedModel(script), template=JSON_AGENT_TEMPLATE).tool_calls == (CALL,)


@pytest.mark.parametrize(
    "said",
    [
        "The tag <tool_call>\n begins a call.",
        "<tool_call> begins a call.",
        "<tool_call",
        "<tool_",
        "</tool_call>",
        "a\n<tool_call>",
        f"So: {BODY}",
        "`<tool_call>\n`",
    ],
)
def test_a_tag_that_begins_no_call_is_text(said: str) -> None:
    for script in ([said, END], [*said, END]):
        model = ScriptedModel(script)
        answer = write(model)
        assert (answer.text, answer.tool_calls, answer.finish_reason) == (said, (), "stop")
        assert model.grammars == [None]


def test_a_call_that_is_cut_off_is_text() -> None:
    answer = write(ScriptedModel(["Go.\n", "<tool_call>", "\n", *BODY]), max_tokens=20)
    assert answer.finish_reason == "length"
    assert answer.tool_calls == ()
    assert answer.text == f"Go.\n<tool_call>\n{BODY[:17]}".strip()


def test_a_call_before_one_that_is_cut_off_is_kept() -> None:
    answer = write(ScriptedModel(["<tool_call>\n", BODY, END, "\n<tool_call>\n", *BODY]), max_tokens=30)
    assert answer.tool_calls == (CALL,)
    assert answer.text.startswith("<tool_call>\n<func")


@pytest.mark.parametrize("choice", ["required", "move"])
def test_a_call_that_is_required_is_begun_for_the_model(choice: str) -> None:
    model = ScriptedModel([BODY, END])
    answer = write(model, tool_choice=choice)
    assert (answer.text, answer.tool_calls) == ("", (CALL,))
    assert [grammar is None for grammar in model.grammars] == [False]
    assert model.read == f"<tool_call>\n{BODY}"


def test_what_stands_for_an_image_is_left_out_of_a_call() -> None:
    said = BODY.replace("</function>", "<parameter=to>\nthe <|image_pad|>door\n</parameter>\n</function>")
    (call,) = write(ScriptedModel([said, END]), tool_choice="required").tool_calls
    assert call.arguments == {"metres": 1.5, "to": "the door"}


def test_a_required_call_follows_the_thoughts() -> None:
    model = ScriptedModel(["Hm", "</think>", BODY, END])
    answer = write(model, tool_choice="required", in_thoughts=True)
    assert (answer.thinking, answer.text, answer.tool_calls) == ("Hm", "", (CALL,))
    assert model.read == f"Hm</think>\n\n<tool_call>\n{BODY}"


def test_a_call_follows_the_thoughts() -> None:
    script = ["The <tool_call>\n", "</think>", "\n\n", "<tool_call>", "\n", BODY, END, END]
    answer = write(ScriptedModel(script), in_thoughts=True)
    assert (answer.thinking, answer.text, answer.tool_calls) == ("The <tool_call>", "", (CALL,))


def test_without_the_choice_nothing_is_a_call() -> None:
    said = f"<tool_call>\n{BODY}\n</tool_call>"
    model = ScriptedModel([*said, END])
    answer = write(model, tool_choice="none")
    assert (answer.text, answer.tool_calls) == (said, ())


def test_a_stop_ends_the_text_and_not_a_call() -> None:
    answer = write(ScriptedModel(["a\n", "<tool_call>\n", BODY, END, "b", ".", "c"]), stop=".")
    assert (answer.text, answer.tool_calls, answer.finish_reason) == ("a\nb", (CALL,), "stop")
