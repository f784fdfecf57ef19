"""JSON schemas as grammars: which are refused, because nothing fits them or no grammar can keep to them."""

from __future__ import annotations

from typing import Any

import pytest

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.to_grammar import build_grammar

ENDLESS = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": []},
        {"type": "string", "enum": [1]},
        {"const": 1, "enum": [2]},
        {"const": 1, "enum": [True]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 3},
        {"type": "string", "minLength": 2, "maxLength": 1},
        {"type": "array", "items": {}, "minItems": 2, "maxItems": 1},
        {"type": "array", "items": False, "minItems": 1},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"allOf": [{"enum": [1, 2]}, {"enum": [3]}]},
        {
            "allOf": [
                {"required": ["b"], "properties": {"b": {}}},
                {"properties": {"a": {}}, "additionalProperties": False},
            ]
        },
        {"anyOf": []},
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, False]},
        ENDLESS,
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
    ],
)
def test_a_schema_that_nothing_fits_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaError, match="nothing fits the schema"):
        build_grammar(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#name"},
        {"$ref": "#/required/0", "required": ["a"]},
        {"$dynamicRef": "#a"},
        {"type": "string", "minLength": 3000},
        {"type": "array", "items": {}, "minItems": 3000},
        {"type": "number", "minimum": 1e30},
        {"type": "object", "properties": {f"p{n}": {"type": "string", "maxLength": 2000 - n} for n in range(200)}},
        {"type": "object", "properties": {f"p{n}": {"const": n} for n in range(2100)}},
        {"allOf": [{"anyOf": [{"minimum": n * m} for n in range(20)]} for m in (1, 2, 3)]},
    ],
)
def test_a_schema_that_cannot_be_kept_to_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaError):
        build_grammar(schema)


def test_alternatives_that_double_with_every_reference_are_refused_and_not_unfolded() -> None:
    definitions = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    with pytest.raises(SchemaError, match="simplify"):
        build_grammar({"$defs": {**definitions, "d60": {"type": "null"}}, "$ref": "#/$defs/d0"})


def test_a_choice_of_itself_adds_nothing() -> None:
    assert build_grammar({"anyOf": [{"$ref": "#"}, {"type": "null"}]}) == build_grammar({"anyOf": [{"type": "null"}]})
