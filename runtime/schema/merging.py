"""Several JSON schemas that all hold at once, as one; and paths inside a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from uhd_edge.runtime.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Schema = bool | dict[str, Any]

# Keywords that say nothing about the value.
ANNOTATIONS = frozenset(
    {
        "$schema",
        "$id",
        "$defs",
        "$comment",
        "$anchor",
        "definitions",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "discriminator",
        "readOnly",
        "writeOnly",
    }
)
COMBINING = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
_LARGER = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
_SMALLER = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}


def resolved(root: Schema, reference: str) -> Schema:
    """The part of `root` that a `$ref` names; raises `SchemaError` when it is elsewhere or missing."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise SchemaError(f"$ref {reference!r} is outside the schema; put what it names under $defs")
    found: Any = root
    for step in unquote(reference[1:]).split("/")[1:] if reference != "#" else ():
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            raise SchemaError(f"$ref {reference!r} names nothing in the schema")
    if not isinstance(found, bool | dict) or (reference != "#" and "/" not in reference):
        raise SchemaError(f"$ref {reference!r} names no schema; only paths such as #/$defs/name are supported")
    return found


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any] | None:
    """One schema for what fits both, or None when nothing can; neither has `$ref`, `allOf`, `anyOf` or `oneOf`.

    Of two patterns, formats or keywords that are only validated, the first is kept.
    """
    result = {**other, **one}
    for keyword in one.keys() & other.keys():
        if one[keyword] != other[keyword] and (combine := _COMBINE.get(keyword)) is not None:
            result[keyword] = combine(one[keyword], other[keyword])
    _merge_items(one, other, result)
    _forbid_additional(one, other, result)
    _forbid_additional(other, one, result)
    return None if result.get("type") == [] or result.get("enum") == [] else result


def with_prefix_items(schema: dict[str, Any]) -> dict[str, Any]:
    """Write a list of `items`, as drafts before 2020-12 have it, as `prefixItems`, and `additionalItems` as `items`.

    Without such a list, `additionalItems` says nothing.
    """
    result = {keyword: value for keyword, value in schema.items() if keyword != "additionalItems"}
    if isinstance(first := schema.get("items"), list):
        del result["items"]
        result["prefixItems"] = first
        if "additionalItems" in schema:
            result["items"] = schema["additionalItems"]
    return result


def _merge_items(one: Mapping[str, Any], other: Mapping[str, Any], result: dict[str, Any]) -> None:
    """Let each item fit both schemas; what follows one's first items stands beside the other's at the same place."""
    if not all("items" in schema or "prefixItems" in schema for schema in (one, other)):
        return
    rest, other_rest = one.get("items", True), other.get("items", True)
    first, other_first = one.get("prefixItems", ()), other.get("prefixItems", ())
    if first or other_first:
        length = max(len(first), len(other_first))
        pairs = zip(_filled(first, rest, length), _filled(other_first, other_rest, length), strict=True)
        result["prefixItems"] = [_both(*pair) for pair in pairs]
    if "items" in result:
        result["items"] = _both(rest, other_rest)


def _filled(first: Sequence[Schema], rest: Schema, length: int) -> list[Schema]:
    return [*first, *[rest] * (length - len(first))]


def _forbid_additional(one: Mapping[str, Any], other: Mapping[str, Any], result: dict[str, Any]) -> None:
    """Let `additionalProperties` of one hold for the properties that only the other names."""
    additional = one.get("additionalProperties", True)
    if additional is True:
        return
    for name in other.get("properties", {}):
        if name not in one.get("properties", {}):
            result["properties"] = {**result["properties"], name: _both(result["properties"][name], additional)}


def find_types(schema: Mapping[str, Any]) -> list[str] | None:
    """The types a schema names, or None."""
    named = schema.get("type")
    return [named] if isinstance(named, str) else named


def _both(one: Any, other: Any) -> Schema:
    if one is False or other is False:
        return False
    if one is True or one == other:
        return other  # type: ignore[no-any-return]
    plain = isinstance(one, dict) and isinstance(other, dict) and not COMBINING & (one.keys() | other.keys())
    if plain and merged(with_prefix_items(one), with_prefix_items(other)) is None:
        return False
    return {"allOf": [one, other]}


def _types(one: Any, other: Any) -> list[str]:
    first, second = ([value] if isinstance(value, str) else value for value in (one, other))
    kept = [name for name in first if name in second or (name == "integer" and "number" in second)]
    return kept + (["integer"] if "integer" in second and "number" in first and "integer" not in first else [])


def _properties(one: Any, other: Any) -> dict[str, Any]:
    shared = {name: _both(one[name], other[name]) for name in one if name in other and one[name] != other[name]}
    return {**one, **other, **shared}


def same(one: object, other: object) -> bool:
    """Whether two JSON values are the same; true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


_COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "type": _types,
    "properties": _properties,
    "required": lambda one, other: list(dict.fromkeys([*one, *other])),
    "enum": lambda one, other: [value for value in one if any(same(value, item) for item in other)],
    "additionalProperties": _both,
    **dict.fromkeys(_LARGER, max),
    **dict.fromkeys(_SMALLER, min),
}
