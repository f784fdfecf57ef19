"""Validating an answer: any text in little time, and each fault in one line."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel, field_validator
from support.schemas.part import Part

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.answer_schema import answer_schema


def test_what_a_validator_says_in_several_lines_is_one() -> None:
    class Part(BaseModel):
        count: int

        @field_validator("count")
        @classmethod
        def never(cls, _value: int) -> int:
            raise ValueError("one\ntwo")

    with pytest.raises(SchemaError, match=r"count: Value error, one two"):
        answer_schema(Part).read('{"count": 1}')


def test_nothing_is_looked_up_on_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("looked up"))
    remote = {"type": "object", "not": {"$ref": "http://example.com/schema.json"}}
    with pytest.raises(SchemaError, match="is outside the schema"):
        answer_schema(remote)


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


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("^a{1,1000000}$", "it repeats too much, .*; ask for fewer repetitions"),
        ("^(?=a)b", "look-around, .* is not supported"),
        (r"^(a)\1$", "backreferences are not supported"),
    ],
)
def test_a_pattern_that_is_refused_is_told_why(pattern: str, why: str) -> None:
    with pytest.raises(SchemaError, match=f"cannot be matched safely: {why}$"):
        answer_schema({"type": "string", "pattern": pattern})


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


def test_parts_that_look_for_what_is_unevaluated_in_each_other_are_given_up() -> None:
    schema: dict[str, Any] = {"properties": {"a": {}}}
    for _ in range(40):
        schema = {"allOf": [schema], "unevaluatedProperties": False}
    with pytest.raises(SchemaError, match="more than 10000 references or unevaluated parts"):
        answer_schema({"type": "object", "not": {"not": schema}}).read('{"a": 1}')


def test_names_that_are_left_over_are_found_at_once_where_python_would_match_for_hours() -> None:
    slow = {"patternProperties": {"^(a|aa)+$": {}}}
    schema = answer_schema({"type": "object", "allOf": [slow], "unevaluatedProperties": False})
    assert schema.read(json.dumps({"a" * 60: 1})) == {"a" * 60: 1}
    with pytest.raises(SchemaError, match=r"unevaluated property 'a+b' is not allowed"):
        schema.read(json.dumps({"a" * 60 + "b": 1}))
