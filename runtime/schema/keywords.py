"""Keywords of JSON schemas that are checked here instead of by `jsonschema`, which is imported late.

Those with patterns, because it matches them with Python's engine, and `multipleOf`, because
it divides binary numbers: 0.3 would be no multiple of 0.1.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from jsonschema import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Matchers: TypeAlias = Mapping[str, Callable[[str], bool]]
    Check: TypeAlias = Callable[..., Iterator[Exception]]

# Digits enough to divide any double by any other.
_EXACT = Context(prec=1000, Emin=-999999, Emax=999999)


def keywords(matchers: Matchers) -> dict[str, Check]:
    """Return the checks by keyword; `matchers` says for every pattern of the schema whether a text has it."""
    return {
        "pattern": _pattern(matchers),
        "patternProperties": _pattern_properties(matchers),
        "additionalProperties": _additional_properties(matchers),
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


def _multiple_of(_validator: object, step: float, value: object, _schema: object) -> Iterator[Exception]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and _EXACT.remainder(Decimal(str(value)), Decimal(str(step))):
        yield ValidationError(f"{value!r} is not a multiple of {step!r}")
