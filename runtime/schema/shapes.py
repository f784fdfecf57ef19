"""JSON values as grammars: what is written out whole, and what stands between brackets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.grammar import (
    EMPTY,
    MOST_REPETITIONS,
    NOTHING,
    Alternatives,
    Concatenation,
    Node,
    Repeat,
    Rule,
    Text,
    optional,
)
from uhd_edge.runtime.schema.merging import same

if TYPE_CHECKING:
    from collections.abc import Mapping

SPACE = Rule("space")
# One blank or none: a small model that may write more of them writes nothing else.
SPACE_RULE = optional(Text(" "))
COMMA = Concatenation((Text(","), SPACE))


def listed(schema: Mapping[str, Any], types: list[str] | None) -> Node:
    """The values of `enum` and `const`, of those types, each as one text."""
    values = schema.get("enum", [schema.get("const")])
    if "const" in schema:
        values = [value for value in values if same(value, schema["const"])]
    return Alternatives(tuple(Text(written(value)) for value in values if types is None or _has_type(value, types)))


def _has_type(value: object, types: list[str]) -> bool:
    if isinstance(value, bool):
        return "boolean" in types
    if isinstance(value, int | float):
        return "number" in types or ("integer" in types and value == int(value))
    names = {str: "string", list: "array", dict: "object", type(None): "null"}
    return names[type(value)] in types


def written(value: object) -> str:
    """A JSON value as text, with every character as it is where it can be."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a character, which only an escape can show
        return json.dumps(value)
    return text


def enclosed(opening: str, content: Node, closing: str) -> Node:
    """`content` between brackets."""
    return Concatenation((Text(opening), SPACE, content, SPACE, Text(closing)))


def joined(items: list[Rule]) -> Node:
    """All items with commas in between."""
    return Concatenation(tuple(part for item in items for part in (COMMA, item))[1:])


def listing(item: Node, least: float, most: float | None) -> Node:
    """`item` from `least` to `most` times with commas in between."""
    if most is not None and most < least:
        return NOTHING
    if most == 0:
        return EMPTY
    more = repeated(Concatenation((COMMA, item)), max(0, int(least) - 1), None if most is None else int(most) - 1)
    some = Concatenation((item, more))
    return some if least >= 1 else optional(some)


def repeated(node: Node, least: int, most: int | None) -> Node:
    """`node` from `least` to `most` times; raises `SchemaError` for more than llama.cpp takes."""
    if least > MOST_REPETITIONS:
        raise SchemaError(f"the schema asks for more than {MOST_REPETITIONS} items; an answer holds fewer")
    return NOTHING if most is not None and most < least else Repeat(node, least, most)
