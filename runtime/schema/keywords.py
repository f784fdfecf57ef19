"""Keywords of JSON schemas that are checked here instead of by `jsonschema`, which is imported late.

Those with patterns, because it matches them with Python's engine, so `unevaluatedProperties`
too, and `multipleOf`, because it divides binary numbers: 0.3 would be no multiple of 0.1.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from jsonschema import ValidationError

from uhd_edge.runtime.schema.merging import Schema, resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Matchers: TypeAlias = Mapping[str, Callable[[str], bool]]
    Check: TypeAlias = Callable[..., Iterator[Exception]]

# Digits enough to divide any double by any other.
_EXACT = Context(prec=1000, Emin=-999999, Emax=999999)


def keywords(matchers: Matchers, root: Schema) -> dict[str, Check]:
    """Return the checks by keyword, for a schema whose references are paths in `root`.

    `matchers` says for every pattern of the schema whether a text has it.
    """
    return {
        "pattern": _pattern(matchers),
        "patternProperties": _pattern_properties(matchers),
        "additionalProperties": _additional_properties(matchers),
        "unevaluatedProperties": _unevaluated_properties(matchers, root),
        "multipleOf": _multiple_of,
    }


def _pattern(matchers: Matchers) -> Check:
    def check(_validator: object, pattern: str, value: object, _schema: object) -> Iterator[Exception]:
        if isinstance(value, str) and not matchers[pattern](value):
            yield ValidationError(f"{value!r} does not match {pattern!r}")

    return check


def _pattern_properties(matchers: Matchers) -> Check:
    def check(validator: Any, parts: dict[str, Any], value: object, _schema: object) -> Iterator[Exception]:
        for name, member in value.items() if isinstance(value, dict) else ():
            for pattern in (pattern for pattern in parts if matchers[pattern](name)):
                yield from validator.descend(member, parts[pattern], path=name, schema_path=pattern)

    return check


def _additional_properties(matchers: Matchers) -> Check:
    def check(validator: Any, rest: Any, value: object, schema: dict[str, Any]) -> Iterator[Exception]:
        patterns = schema.get("patternProperties", {})
        for name, member in value.items() if isinstance(value, dict) else ():
            if name in schema.get("properties", {}) or any(matchers[pattern](name) for pattern in patterns):
                continue
            if rest is False:
                yield ValidationError(f"additional property {name!r} is not allowed")
            elif rest is not True:
                yield from validator.descend(member, rest, path=name)

    return check


def _unevaluated_properties(matchers: Matchers, root: Schema) -> Check:
    def check(validator: Any, rest: Any, value: object, schema: dict[str, Any]) -> Iterator[Exception]:
        if not isinstance(value, dict):
            return
        own = {keyword: part for keyword, part in schema.items() if keyword != "unevaluatedProperties"}
        for name in value.keys() - _evaluated(validator, own, value, matchers, root):
            if rest is False:
                yield ValidationError(f"unevaluated property {name!r} is not allowed")
            else:
                yield from validator.descend(value[name], rest, path=name)

    return check


def _evaluated(validator: Any, schema: Any, value: dict[str, Any], matchers: Matchers, root: Schema) -> set[str]:
    """The names in `value`, which fits `schema`, of which it says anything: in itself or in a part that holds too."""
    if not isinstance(schema, dict):
        return set()
    if "additionalProperties" in schema or "unevaluatedProperties" in schema:
        return set(value)
    patterns = schema.get("patternProperties", ())
    found = {name for name in value if any(matchers[pattern](name) for pattern in patterns)}
    found |= value.keys() & schema.get("properties", {}).keys()
    for part in _holding(validator, schema, value, root):
        found |= _evaluated(validator, part, value, matchers, root)
    return found


def _holding(validator: Any, schema: dict[str, Any], value: dict[str, Any], root: Schema) -> Iterator[Any]:
    """The parts of `schema` that say something of the same value, and that it fits."""

    def holds(part: Any) -> bool:
        return bool(validator.evolve(schema=part).is_valid(value))

    if "$ref" in schema:
        yield resolved(root, schema["$ref"])
    yield from (part for keyword in ("allOf", "anyOf", "oneOf") for part in schema.get(keyword, ()) if holds(part))
    yield from (part for name, part in schema.get("dependentSchemas", {}).items() if name in value)
    if "if" in schema:
        fits = holds(schema["if"])
        yield from (schema[keyword] for keyword in (("if", "then") if fits else ("else",)) if keyword in schema)


def _multiple_of(_validator: object, step: float, value: object, _schema: object) -> Iterator[Exception]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and _EXACT.remainder(Decimal(str(value)), Decimal(str(step))):
        yield ValidationError(f"{value!r} is not a multiple of {step!r}")
