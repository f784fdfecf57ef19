"""Identifiers and references of every kind, against `jsonschema`, which follows them by itself."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.answer_schema import answer_schema
from uhd_edge.runtime.schema.references import follow_references
from uhd_edge.runtime.schema.to_grammar import build_grammar

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
# A list of anything, that whoever refers to it may make one of something; from the standard's own example.
LIST = {
    "$id": "list",
    "type": "array",
    "items": {"$dynamicRef": "#item"},
    "maxItems": 2,
    "$defs": {"item": {"$dynamicAnchor": "item"}},
}
TREE = {
    "$id": "http://example.com/tree",
    "$dynamicAnchor": "node",
    "type": "object",
    "properties": {"data": {"type": "integer"}, "children": {"type": "array", "items": {"$dynamicRef": "#node"}}},
}
SCHEMAS: dict[str, Any] = {
    "an anchor": {"$ref": "#a", "$defs": {"x": {"$anchor": "a", "type": "integer"}}},
    "an address": {
        "$ref": "x",
        "$defs": {"x": {"$id": "http://example.com/x", "type": "integer"}},
        "$id": "http://example.com/y",
    },
    "an anchor of another resource": {
        "$id": "http://example.com/root",
        "$ref": "x#a",
        "$defs": {
            "x": {"$id": "x", "$defs": {"_": {"$anchor": "a", "type": "integer"}}},
            "y": {"$id": "y", "$anchor": "a", "type": "string"},
        },
    },
    "a path inside a resource": {
        "$ref": "urn:uuid:deadbeef-1234-0000-0000-4321feebdaed",
        "$defs": {
            "x": {
                "$id": "urn:uuid:deadbeef-1234-0000-0000-4321feebdaed",
                "$ref": "#/$defs/~1~0%25",
                "$defs": {"/~%": {"type": "integer"}},
            },
        },
    },
    "an anchor of draft 7": {"$schema": DRAFT_7, "$ref": "#a", "definitions": {"x": {"$id": "#a", "type": "integer"}}},
    "beside a reference in draft 7": {
        "$schema": DRAFT_7,
        "type": "string",
        "$ref": "#/definitions/x",
        "definitions": {"x": {"type": "integer"}},
    },
    "a dynamic reference to nothing dynamic": {
        "$dynamicRef": "#a",
        "$defs": {"x": {"$anchor": "a", "type": "integer"}},
    },
    "a list of anything": {"$ref": "list", "$defs": {"list": LIST}},
    "a list of integers": {
        "$id": "http://example.com/integers",
        "$ref": "list",
        "$defs": {"one": {"$dynamicAnchor": "item", "type": "integer"}, "list": LIST},
    },
    "two lists": {
        "anyOf": [{"$ref": "integers"}, {"$ref": "texts"}],
        "$defs": {
            "i": {"$id": "integers", "$ref": "list", "$defs": {"_": {"$dynamicAnchor": "item", "type": "integer"}}},
            "t": {"$id": "texts", "$ref": "list", "$defs": {"_": {"$dynamicAnchor": "item", "type": "string"}}},
            "list": LIST,
        },
    },
    "a strict tree": {
        "$id": "http://example.com/strict",
        "$dynamicAnchor": "node",
        "$ref": "tree",
        "unevaluatedProperties": False,
        "$defs": {"tree": TREE},
    },
    "both kinds at once": {
        "$ref": "#low",
        "$dynamicRef": "#high",
        "$defs": {"l": {"$anchor": "low", "minimum": 1}, "h": {"$dynamicAnchor": "high", "maximum": 3}},
    },
    "itself": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2},
    "what only looks like a reference": {"enum": [{"$ref": "#/nowhere"}, {"$id": "a"}, {"$schema": "b"}, 1]},
    "a property of that name": {"type": "object", "properties": {"$ref": {"type": "integer"}, "$id": {"type": "null"}}},
}
VALUES = [
    *(0, 1, 2, 4, "a", None, [], [1], ["a"], [1, 2], [1, "a"], ["a", "b"], [1, 2, 3], [[]], [[[]], []]),
    *({}, {"data": 1}, {"data": "a"}, {"children": [{"data": 1}]}, {"children": [{"daat": 1}]}, {"daat": 1}),
    *({"$ref": "#/nowhere"}, {"$ref": 1}, {"$id": "a"}, {"$id": None}, {"$schema": "b"}),
]


def fits(schema: Any, value: object) -> bool:
    try:
        answer_schema(schema).read(json.dumps(value))
    except SchemaError as error:
        reason = str(error)
    else:
        return True
    assert "the answer does not fit the schema" in reason
    return False


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_reference_leads_where_jsonschema_says(kind: str) -> None:
    schema = SCHEMAS[kind]
    judge = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)(schema)
    judged = [judge.is_valid(value) for value in VALUES]
    assert [fits(schema, value) for value in VALUES] == judged
    assert len(set(judged)) == 2


@pytest.mark.parametrize("kind", SCHEMAS)
def test_what_has_been_followed_has_paths_only_and_is_followed_no_further(kind: str) -> None:
    followed = follow_references({key: value for key, value in SCHEMAS[kind].items() if key != "$schema"})
    assert follow_references(followed) == followed
    if kind not in ("what only looks like a reference", "a property of that name"):
        assert not {'"$id"', '"$anchor"', '"$dynamicAnchor"', '"$dynamicRef"'} & set(json.dumps(followed).split(": "))


@pytest.mark.parametrize(
    "kind", [kind for kind, schema in SCHEMAS.items() if fits(schema, 1) and not fits(schema, "a")]
)
def test_a_grammar_goes_where_the_reference_leads(kind: str) -> None:
    number = {"minimum": 1, "maximum": 3} if kind == "both kinds at once" else {"type": "integer"}
    wanted = SCHEMAS[kind] if "enum" in SCHEMAS[kind] else number
    assert build_grammar(SCHEMAS[kind]) == build_grammar(wanted)


def test_a_dynamic_reference_is_written_once_for_each_way_that_leads_to_it() -> None:
    arrays = [{"type": "array", "items": {"type": kind}, "maxItems": 2} for kind in ("integer", "string")]
    assert build_grammar(SCHEMAS["two lists"]) == build_grammar({"anyOf": arrays})


def test_references_that_double_with_every_way_are_refused() -> None:
    definitions: dict[str, Any] = {
        f"d{number}": {
            "$id": f"d{number}",
            "anyOf": [{"$ref": f"{side}{number}"} for side in "lr"],
            "$defs": {
                side: {
                    "$id": f"{side}{number}",
                    "$defs": {"_": {"$dynamicAnchor": f"x{number}", "const": side}},
                    "$ref": f"d{number + 1}",
                }
                for side in "lr"
            },
        }
        for number in range(30)
    }
    definitions["d30"] = {"$id": "d30", "type": "null"}
    with pytest.raises(SchemaError, match="unfold to too many"):
        follow_references({"$ref": "d0", "$defs": definitions})
