"""Answers of a stated shape: what a schema may be, what an answer is read into, and what does not fit."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator
from support.places import EXAMPLES

from uhd_edge.engines.errors import MissingExtraError
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.answer_schema import AnswerSchema, answer_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PICTURE = EXAMPLES / "bench.png"
QUESTION = "What is the code on the white star?"


class Part(BaseModel):
    code: str = Field(pattern="^[A-Z0-9]{3}$")
    colour: Literal["red", "green", "white"]
    count: int = Field(ge=0, le=9)
    below: Part | None = None


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


def refused(schema: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        answer_schema(schema)
    assert caught.value.answer is None
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "{",
        "[]",
        "3",
        b"{}",
        3,
        [],
        object(),
        BaseModel,
        Part(code="AAA", colour="red", count=1),
        int,
        {"type": "integer", "minimum": float("nan")},
        {"type": {1, 2}},
        {"type": "whole"},
        {"type": "string", "pattern": "["},
        {"properties": []},
        {"minItems": -1},
        {"type": "array", "items": {}, "maxItems": "3"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"description": "x" * 70_000},
        '{"not": ' * 5000 + "{}" + "}" * 5000,
    ],
    ids=lambda schema: str(schema)[:30],
)
def test_what_is_no_schema_is_refused_in_one_line(schema: Any) -> None:
    refused(schema)


@pytest.mark.parametrize(
    "schema",
    [
        '{"enum": [NaN]}',
        '{"type": "integer", "enum": [1e999]}',
        '{"type": "number", "minimum": 0, "maximum": 1e999}',
        '{"type": "number", "minimum": 0, "maximum": 5, "multipleOf": Infinity}',
        {"$schema": 5},
        {"$schema": ["a"]},
        {"$schema": "http://json-schema.org/draft-03/schema#", "type": ["string", {"type": "null"}]},
        {"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}},
        {"not": {"$dynamicRef": "#a"}},
        {"not": {"pattern": "(?=a)"}},
        {"patternProperties": {"a": {}}, "unevaluatedProperties": False},
    ],
)
def test_what_cannot_be_kept_to_is_refused_before_anything_is_asked(schema: Any) -> None:
    refused(schema)


def test_a_model_that_makes_no_json_schema_is_refused() -> None:
    class Broken(BaseModel):
        x: int = Field(json_schema_extra={"enum": 3})

    refused(Broken)


def test_what_a_validator_says_in_several_lines_is_one() -> None:
    class Part(BaseModel):
        count: int

        @field_validator("count")
        @classmethod
        def never(cls, _value: int) -> int:
            raise ValueError("one\ntwo")

    with pytest.raises(SchemaError, match=r"count: Value error, one two"):
        answer_schema(Part).read('{"count": 1}')


def test_a_schema_inside_itself_a_thousand_times_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(1000):
        schema = {"type": "array", "items": schema}
    refused(schema)


def test_a_model_without_a_json_schema_is_refused() -> None:
    class Odd(BaseModel, arbitrary_types_allowed=True):
        path: Assistant

    refused(Odd)


def test_nothing_is_looked_up_on_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("looked up"))
    remote = {"type": "object", "not": {"$ref": "http://example.com/schema.json"}}
    with pytest.raises(SchemaError, match="cannot be checked against the schema"):
        answer_schema(remote).read("{}")


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "[" * 100_000, "NaN", '"\\ud800"', "1e999", "9" * 5000])
def test_any_text_is_read_or_an_error(text: str) -> None:
    for schema in (answer_schema({"type": "object", "required": ["b"]}), answer_schema(Part)):
        with pytest.raises(SchemaError):
            schema.read(text)


@pytest.mark.parametrize(
    "schema",
    [
        {"const": "a" * 40 + "!", "pattern": "^(a+)+$"},
        {"const": "a" * 40 + "!", "not": {"pattern": "^(a|aa)+$"}},
        {"type": "object", "properties": {"x": {"const": "a" * 40 + "!", "pattern": "(a*)*$"}}},
    ],
)
def test_a_pattern_that_python_would_match_for_hours_is_matched_at_once(schema: Any) -> None:
    ready = answer_schema(schema)
    for text in (json.dumps("a" * 40 + "!"), json.dumps({"x": "a" * 40 + "!"})):
        with suppress(SchemaError):
            ready.read(text)


def test_a_value_that_misses_a_pattern_beside_it_is_told() -> None:
    with pytest.raises(SchemaError, match=r"\$: 'b' does not match '\^a'"):
        answer_schema({"const": "b", "pattern": "^a"}).read('"b"')


def test_names_are_matched_at_once_too_by_what_jsonschema_would_give_to_python() -> None:
    slow, name = "^(a|aa)+$", "a" * 60 + "b"
    schema = {"patternProperties": {slow: {}, "^a+b$": {"type": "boolean"}}, "additionalProperties": False}
    assert answer_schema(schema).read(json.dumps({name: True})) == {name: True}
    for wrong, said in (({name: 1}, "is not of type 'boolean'"), ({"c": 1}, "'c' is not allowed")):
        with pytest.raises(SchemaError, match=said):
            answer_schema(schema).read(json.dumps(wrong))
    with pytest.raises(SchemaError, match="not of type 'null'"):
        answer_schema({**schema, "additionalProperties": {"type": "null"}}).read('{"c": 1}')


def test_a_reference_to_a_schema_that_names_its_draft_leads_back_to_no_slow_pattern() -> None:
    draft = "https://json-schema.org/draft/2020-12/schema"
    schema = {"$schema": draft, "properties": {"x": {"$ref": "#"}}, "pattern": "^(a|aa)+$"}
    with pytest.raises(SchemaError, match="does not match"):
        answer_schema(schema).read(json.dumps({"x": "a" * 60 + "b"}))


def test_references_that_double_forty_times_are_given_up() -> None:
    doubled = {f"a{n}": {"not": {"not": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2}}} for n in range(40)}
    schema = {"$defs": {**doubled, "a40": True}, "not": {"not": {"$ref": "#/$defs/a0"}}}
    with pytest.raises(SchemaError, match="more than 10000 references"):
        answer_schema(schema).read("5")


def test_decimal_multiples_are_multiples() -> None:
    schema = answer_schema({"type": "number", "multipleOf": 0.1})
    assert schema.read("0.3") == 0.3
    with pytest.raises(SchemaError, match="not a multiple"):
        schema.read("0.35")


def test_a_stop_inside_the_json_is_said_to_have_ended_it(assistant: Assistant) -> None:
    with pytest.raises(SchemaError, match="a text of `stop` ended the answer"):
        assistant.ask(None, "Why?", max_tokens=60, schema={"enum": ["red", "green"]}, stop="e")


def test_a_date_in_a_model_comes_as_a_date(assistant: Assistant) -> None:
    class Day(BaseModel):
        day: date

    assert isinstance(assistant.ask(None, "What day is it?", schema=Day).parsed.day, date)


def test_without_jsonschema_a_model_works_and_a_schema_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    assert isinstance(answer_schema(Part), AnswerSchema)
    with pytest.raises(MissingExtraError, match=r"pip install 'uhd-edge\[schema\]'"):
        answer_schema({"type": "integer"})
