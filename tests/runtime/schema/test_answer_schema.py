"""Answers of a stated shape: what they are read into, and what is told where they do not fit."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel, field_validator
from support.places import EXAMPLES
from support.schemas.part import Part

from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.answer_schema import answer_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PICTURE = EXAMPLES / "bench.png"
QUESTION = "What is the code on the white star?"


@pytest.fixture(scope="module")
def assistant() -> Iterator[Assistant]:
    with Assistant(context=1024) as assistant:
        yield assistant


def test_a_json_schema_gives_json_values(assistant: Assistant) -> None:
    schema = {"type": "object", "properties": {"count": {"type": "integer", "minimum": 0, "maximum": 20}}}
    answer = assistant.ask(PICTURE, "How many objects are there?", schema={**schema, "required": ["count"]})
    assert answer.parsed == json.loads(answer.text)
    assert answer.parsed["count"] in range(21)
    assert answer.finish_reason == "stop"


def test_a_pydantic_model_gives_its_instances(assistant: Assistant) -> None:
    answer = assistant.ask(PICTURE, QUESTION, schema=Part)
    assert isinstance(answer.parsed, Part)
    assert answer.parsed == Part.model_validate(json.loads(answer.text))


def test_the_text_of_a_schema_and_a_schema_made_ready_give_the_same(assistant: Assistant) -> None:
    schema = {"enum": ["red circle", "white star"]}
    given = [schema, json.dumps(schema), answer_schema(schema)]
    texts = {assistant.ask(PICTURE, QUESTION, schema=each).text for each in given}
    assert len(texts) == 1
    assert json.loads(texts.pop()) in schema["enum"]


def test_an_answer_without_a_schema_has_nothing_parsed_and_is_as_ever(assistant: Assistant) -> None:
    before = assistant.ask(PICTURE, QUESTION)
    assistant.ask(PICTURE, QUESTION, schema={"type": "integer"})
    after = assistant.ask(PICTURE, QUESTION)
    assert (before.text, before.parsed) == ("JX7", None)
    assert after.text == "JX7"


def test_pieces_of_a_stream_make_up_the_same_json(assistant: Assistant) -> None:
    whole = assistant.ask(PICTURE, QUESTION, schema=Part)
    assert "".join(assistant.stream(PICTURE, QUESTION, schema=Part)) == whole.text


@pytest.mark.parametrize("ask", [Assistant.ask, lambda *given, **options: list(Assistant.stream(*given, **options))])
def test_an_answer_that_is_cut_off_is_an_error_that_carries_it(assistant: Assistant, ask: Callable[..., Any]) -> None:
    with pytest.raises(SchemaError, match=r"cut off after 4 tokens, .*; raise --max-tokens") as caught:
        ask(assistant, PICTURE, QUESTION, schema=Part, max_tokens=4)
    assert caught.value.answer is not None
    assert caught.value.answer.finish_reason == "length"
    assert caught.value.answer.text.startswith("{")


def test_json_that_is_complete_with_the_last_token_is_an_answer(assistant: Assistant) -> None:
    tokens = assistant.ask(PICTURE, QUESTION, schema={"const": "JX7"}).usage.completion_tokens
    answer = assistant.ask(PICTURE, QUESTION, schema={"const": "JX7"}, max_tokens=tokens - 1)
    assert (answer.parsed, answer.finish_reason) == ("JX7", "length")


def test_what_no_grammar_can_express_is_validated(assistant: Assistant) -> None:
    twins = {"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 2, "uniqueItems": True}
    with pytest.raises(SchemaError, match=r"does not fit the schema: \$: .*non-unique elements: '\[") as caught:
        assistant.ask(PICTURE, QUESTION, schema=twins)
    assert json.loads(caught.value.answer.text) == [1, 1]  # type: ignore[union-attr]


def test_what_a_model_validates_by_itself_is_validated(assistant: Assistant) -> None:
    class Odd(BaseModel):
        count: Literal[2, 4]

        @field_validator("count")
        @classmethod
        def is_odd(cls, count: int) -> int:
            if count % 2 == 0:
                raise ValueError("even")
            return count

    with pytest.raises(SchemaError, match=r"does not fit the schema: count: Value error, even"):
        assistant.ask(PICTURE, QUESTION, schema=Odd)


def test_an_impossible_schema_is_an_error_before_anything_is_looked_at(assistant: Assistant) -> None:
    with pytest.raises(SchemaError, match="nothing fits the schema"):
        assistant.stream("no-such-file.png", QUESTION, schema={"type": "integer", "minimum": 2, "maximum": 1})


def test_a_stop_inside_the_json_is_said_to_have_ended_it(assistant: Assistant) -> None:
    with pytest.raises(SchemaError, match="a stop text ended the answer"):
        assistant.ask(None, "Why?", max_tokens=60, schema={"enum": ["red", "green"]}, stop="e")


def test_a_date_in_a_model_comes_as_a_date(assistant: Assistant) -> None:
    class Day(BaseModel):
        day: date

    assert isinstance(assistant.ask(None, "What day is it?", schema=Day).parsed.day, date)
