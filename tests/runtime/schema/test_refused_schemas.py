"""What is no schema, or none that can be kept to, is refused before anything is asked."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pydantic import BaseModel, Field
from support.schemas.part import Part

from uhd_edge.engines.errors import MissingExtraError
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.answer_schema import AnswerSchema, answer_schema


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
    ids=lambda schema: "object" if type(schema) is object else str(schema)[:30],
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
        {"$recursiveRef": "#"},
        {"$ref": 3},
        {"$ref": "http://[/a"},
        {"$ref": "part"},
        {"$ref": "#/enum/0", "enum": [1]},
        {"$ref": "#/allOf/1", "allOf": [{}]},
        {"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}, "$ref": "#x"},
    ],
)
def test_what_cannot_be_kept_to_is_refused_before_anything_is_asked(schema: Any) -> None:
    refused(schema)


def test_a_model_that_makes_no_json_schema_is_refused() -> None:
    class Broken(BaseModel):
        x: int = Field(json_schema_extra={"enum": 3})

    refused(Broken)


def test_a_schema_inside_itself_a_thousand_times_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(1000):
        schema = {"type": "array", "items": schema}
    refused(schema)


def test_a_model_without_a_json_schema_is_refused() -> None:
    class Odd(BaseModel, arbitrary_types_allowed=True):
        path: Assistant

    refused(Odd)


def test_without_jsonschema_a_model_works_and_a_schema_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    assert isinstance(answer_schema(Part), AnswerSchema)
    with pytest.raises(MissingExtraError, match=r"pip install 'uhd-edge\[schema\]'"):
        answer_schema({"const": "no other test has asked for this, so it is not kept"})
