"""The values of a call's parameters: text that stands for itself, or JSON, as the parameter's schema has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.merging import resolved

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.runtime.schema.merging import Schema

ALL_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})

_WORDS: Final = {"true": True, "false": False, "null": None}

# How deep references are followed; a schema may contain itself.
_DEPTH = 16


def find_value_types(schema: Schema, root: Mapping[str, Any], depth: int = _DEPTH) -> frozenset[str]:
    """Return the JSON types that a value may have; `$ref`s lead into `root`."""
    if isinstance(schema, bool):
        return ALL_TYPES if schema else frozenset()
    if depth == 0:
        return ALL_TYPES
    types = _own_types(schema)
    parts = [*schema.get("allOf", ()), *([_resolved(root, schema["$ref"])] if "$ref" in schema else [])]
    for part in parts:
        types &= find_value_types(part, root, depth - 1)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            types &= frozenset().union(*(find_value_types(part, root, depth - 1) for part in schema[keyword]))
    return types | {"null"} if schema.get("nullable") is True else types


def is_plain_text(types: frozenset[str]) -> bool:
    """Whether values of these types are written as they are, and not as JSON.

    A text that could be a number or a list as well needs its quotes, to be told from these.
    """
    return "string" in types and not types & {"integer", "number", "array", "object"}


def read_value(text: str, schema: Schema, root: Mapping[str, Any]) -> Any:
    """Return the value that a parameter's text stands for: the text itself, or what it is as JSON.

    What should be JSON and is none stays text.
    """
    types = find_value_types(schema, root)
    if is_plain_text(types):
        value = _WORDS.get(text, text)
        return value if _types_of(value) & types else text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, float) and value.is_integer() and "integer" in types and "number" not in types:
        return int(value)
    return value


def _own_types(schema: Mapping[str, Any]) -> frozenset[str]:
    types = ALL_TYPES
    if "type" in schema:
        named = schema["type"]
        types = frozenset([named] if isinstance(named, str) else named)
    if "number" in types:
        types |= {"integer"}
    for values in ([schema["const"]] if "const" in schema else None, schema.get("enum")):
        if values is not None:
            types &= frozenset(name for value in values for name in _types_of(value))
    return types


def _types_of(value: object) -> frozenset[str]:
    """The JSON types of a value."""
    if isinstance(value, bool):
        return frozenset({"boolean"})
    if isinstance(value, int):
        return frozenset({"integer", "number"})
    if isinstance(value, float):
        return frozenset({"number", "integer"} if value.is_integer() else {"number"})
    names = {str: "string", list: "array", dict: "object", type(None): "null"}
    return frozenset({names[type(value)]})


def _resolved(root: Mapping[str, Any], reference: str) -> Schema:
    try:
        return resolved(dict(root), reference)
    except SchemaError:
        return True
