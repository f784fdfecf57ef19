"""A JSON schema as a grammar of llama.cpp: every text that fits the grammar is JSON of that shape.

The grammar may allow less than the schema, never another shape: properties come in the
order they are declared, those that are not declared come only where none are, and the
whole has no white space but where a person would put it. Keywords that no grammar can
express (`uniqueItems`, `not`, `if`, `contains`, ..) are left to the validation of the answer.
"""

from __future__ import annotations

import json
from collections import deque
from itertools import product
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.grammar import (
    EMPTY,
    Alternatives,
    Concatenation,
    GrammarText,
    Node,
    Rule,
    Text,
    reachable,
    with_an_end,
)
from uhd_edge.runtime.schema.merging import ANNOTATIONS, COMBINING, find_types, merged, resolved, with_prefix_items
from uhd_edge.runtime.schema.numbers import number_node
from uhd_edge.runtime.schema.pattern import pattern_node
from uhd_edge.runtime.schema.references import follow_references
from uhd_edge.runtime.schema.shapes import (
    COMMA,
    SPACE,
    SPACE_RULE,
    enclosed,
    joined,
    listed,
    listing,
    repeated,
    written,
)
from uhd_edge.runtime.schema.strings import quoted, string_node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from uhd_edge.runtime.schema.merging import Schema

# How deep a value goes whose schema does not say what it is.
FREE_DEPTH = 4

# Schemas come from users of a server too: more than this is refused before llama.cpp sees it.
MOST_RULES = 2000
MOST_BRANCHES = 200
MOST_STEPS = 20_000
LARGEST_GRAMMAR = 200_000

_PLAIN: Mapping[str, Node] = {"boolean": Alternatives((Text("true"), Text("false"))), "null": Text("null")}

# What names the type of a schema that has no `type`.
_TELLING: Mapping[str, tuple[str, ...]] = {
    "object": ("properties", "required", "additionalProperties", "propertyNames", "patternProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def build_grammar(schema: Schema) -> str:
    """Return the grammar, in llama.cpp's notation, of the JSON texts that fit `schema`.

    Raises `SchemaError` for a schema that nothing fits, whose `$ref` leads out of it, that
    is too large, or whose patterns cannot be enforced.
    """
    schema = follow_references(schema)
    conversion = Conversion(schema)
    return conversion.write(conversion.rule(schema))


class Conversion:
    """Turns schemas into rules, each distinct one once, so that a schema may contain itself.

    Its references are paths in `root`, as `follow_references` writes them.
    """

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._steps = 0
        self._names: dict[str, str] = {}
        self._waiting: deque[tuple[str, Schema]] = deque()
        self.rules: dict[str, Node] = {SPACE.name: SPACE_RULE}

    def rule(self, schema: Schema) -> Rule:
        """The rule of `schema`, which `write` fills in."""
        key = json.dumps(schema)
        if key not in self._names:
            if len(self._names) >= MOST_RULES:
                raise SchemaError(f"the schema unfolds to more than {MOST_RULES} parts; simplify it")
            self._names[key] = name = f"value-{len(self._names)}"
            self._waiting.append((name, schema))
        return Rule(self._names[key])

    def write_node(self, node: Node) -> str:
        """Return the grammar of `node`, which may name rules of this conversion; see `write`."""
        self.rules["whole"] = node
        return self.write(Rule("whole"))

    def write(self, root: Rule) -> str:
        """Return the grammar that begins with `root`, in llama.cpp's notation; raises `SchemaError`."""
        while self._waiting:
            name, schema = self._waiting.popleft()
            branches = enumerate(self.branches(schema))
            self.rules[name] = Alternatives(tuple(self._plain(one, f"{name}-{number}") for number, one in branches))
        rules = with_an_end(self.rules)
        if root.name not in rules:
            raise SchemaError("nothing fits the schema: look for bounds, enums, types or $refs that exclude each other")
        writer = GrammarText()
        text = writer.of({name: rules[name] for name in reachable(rules, root.name)}, root.name)
        if writer.size > LARGEST_GRAMMAR:
            raise SchemaError(f"the schema's grammar has {writer.size} parts, more than {LARGEST_GRAMMAR}; simplify it")
        return text

    def branches(self, schema: Schema, active: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """`schema` as alternatives without references and combinations of schemas.

        A reference back to itself (`active`) without anything in between adds nothing.
        """
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise SchemaError("the schema's alternatives and references unfold to too many; simplify it")
        if isinstance(schema, bool):
            return [{}] if schema else []
        parts = [self.branches(part, active) for part in schema.get("allOf", ())]
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                parts.append([branch for part in schema[keyword] for branch in self.branches(part, active)])
        if (reference := schema.get("$ref")) is not None:
            inside = (*active, reference)
            parts.append([] if reference in active else self.branches(resolved(self._root, reference), inside))
        own = {key: value for key, value in schema.items() if key not in ANNOTATIONS | COMBINING}
        return self._combined([with_prefix_items(own)], parts)

    def _combined(self, start: list[dict[str, Any]], parts: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        branches = start
        for part in parts:
            if len(branches) * len(part) > MOST_BRANCHES:
                raise SchemaError(f"the schema has more than {MOST_BRANCHES} alternatives in one place; simplify it")
            both = (merged(one, other) for one, other in product(branches, part))
            branches = [branch for branch in both if branch is not None]
        return branches

    def _plain(self, schema: Mapping[str, Any], name: str) -> Node:
        """The rule of a schema with nothing but types and their keywords; `name` begins the names of its parts."""
        types = find_types(schema)
        if "const" in schema or "enum" in schema:
            return listed(schema, types)
        if types is None:
            telling = [kind for kind, keywords in _TELLING.items() if any(word in schema for word in keywords)]
            types = telling or ["anything"]
        options = [self._typed(schema, kind, f"{name}-{number}") for number, kind in enumerate(dict.fromkeys(types))]
        return Alternatives(tuple(options))

    def _typed(self, schema: Mapping[str, Any], kind: str, name: str) -> Node:
        match kind:
            case "object":
                return self._object(schema, name)
            case "array":
                return self._array(schema)
            case "string":
                return string_node(schema)
            case "number" | "integer":
                return number_node(schema, integer=kind == "integer")
            case _:
                return _PLAIN.get(kind) or self._anything(FREE_DEPTH)

    def _object(self, schema: Mapping[str, Any], name: str) -> Node:
        properties: dict[str, Schema] = dict(schema.get("properties", {}))
        required = schema.get("required", ())
        for missing in (key for key in required if key not in properties):
            properties[missing] = schema.get("additionalProperties", True)
        if not properties:
            return self._map(schema)
        members: Node = EMPTY
        members_after: Node = EMPTY
        for number, (key, value) in reversed(list(enumerate(properties.items()))):
            pair = Concatenation((Text(f"{written(key)}:"), SPACE, self.rule(value)))
            first = Concatenation((pair, members_after))
            later = Concatenation((COMMA, pair, members_after))
            if key not in required:
                first, later = Alternatives((first, members)), Alternatives((later, members_after))  # type: ignore[assignment]
            self.rules[f"{name}-first-{number}"], self.rules[f"{name}-later-{number}"] = first, later
            members, members_after = Rule(f"{name}-first-{number}"), Rule(f"{name}-later-{number}")
        return enclosed("{", members, "}")

    def _map(self, schema: Mapping[str, Any]) -> Node:
        """An object of any keys; that two are the same is left to the validation of the answer."""
        value: Schema = schema.get("additionalProperties", True)
        key = self.rule({"type": "string", "minLength": 1, "maxLength": 64})
        if isinstance(names := schema.get("propertyNames"), dict):
            key = self.rule({"allOf": [names, {"type": "string"}]})
        pair: Node = Concatenation((key, Text(":"), SPACE, self.rule(value)))
        if isinstance(patterns := schema.get("patternProperties"), dict) and patterns:
            pair = Alternatives(
                tuple(
                    Concatenation((quoted(pattern_node(pattern)), Text(":"), SPACE, self.rule(part)))
                    for pattern, part in patterns.items()
                )
            )
        return enclosed("{", listing(pair, schema.get("minProperties", 0), schema.get("maxProperties")), "}")

    def _array(self, schema: Mapping[str, Any]) -> Node:
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        first, rest = list(schema.get("prefixItems", ())), schema.get("items", True)
        if not first:
            return enclosed("[", listing(self.rule(rest), least, most), "]")
        if most is not None and most < len(first):
            first, rest = first[: int(most)], False
        if False in first and first.index(False) >= least:  # nothing fits there, so the array ends before
            first, most = first[: first.index(False)], first.index(False)
        items = [self.rule(item) for item in first]
        more = None if most is None else int(most) - len(items)
        if least <= len(items) and "items" not in schema:
            more = 0  # a tuple, as a person writes it: nothing after what is listed
        tail: Node = EMPTY
        if more != 0 or least > len(items):
            tail = repeated(Concatenation((COMMA, self.rule(rest))), max(0, least - len(items)), more)
        return enclosed("[", Concatenation((joined(items), tail)), "]")

    def _anything(self, depth: int) -> Node:
        simple = ("string", "number", "boolean", "null")
        options: list[Node] = [self.rule({"type": kind}) for kind in simple]
        if depth == 0:
            return Alternatives(tuple(options))
        name = f"anything-{depth - 1}"
        if name not in self.rules:
            self.rules[name] = self._anything(depth - 1)
        key = self.rule({"type": "string", "minLength": 1, "maxLength": 64})
        pair = Concatenation((key, Text(":"), SPACE, Rule(name)))
        return Alternatives(
            (*options, enclosed("[", listing(Rule(name), 0, None), "]"), enclosed("{", listing(pair, 0, None), "}"))
        )
