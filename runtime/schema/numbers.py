"""The numbers a JSON schema allows, as a grammar: within bounds, digit by digit."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.grammar import (
    EMPTY,
    NOTHING,
    Alternatives,
    Characters,
    Concatenation,
    Node,
    Repeat,
    Text,
    characters,
    optional,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# A double holds 15 decimal digits of any number.
DIGITS = 15
# Decimals offered between bounds that have fewer themselves.
DECIMALS = 6
# Multiples are listed one by one up to this many.
MOST_MULTIPLES = 500

# Bounds are sums and products of numbers of this size at most.
LARGEST = 10**18
_EXACT = Context(prec=400, Emin=-999999, Emax=999999)

DIGIT = Characters(((ord("0"), ord("9")),))
_NONZERO = Characters(((ord("1"), ord("9")),))
_WHOLE = Alternatives((Text("0"), Concatenation((_NONZERO, Repeat(DIGIT, 0, DIGITS - 1)))))
ANY_INTEGER = Concatenation((optional(Text("-")), _WHOLE))
ANY_NUMBER = Concatenation(
    (
        ANY_INTEGER,
        optional(Concatenation((Text("."), Repeat(DIGIT, 1, DIGITS)))),
        optional(Concatenation((characters("eE"), optional(characters("+-")), Repeat(DIGIT, 1, 2)))),
    )
)


def number_node(schema: Mapping[str, Any], *, integer: bool) -> Node:
    """What `minimum`, `maximum`, their exclusive forms and `multipleOf` leave of integers or numbers.

    Never more than they allow, and nothing where they allow nothing: bounds with more than
    15 decimals, or beyond 10^18, are met from inside. A `multipleOf` with more than 500
    multiples between the bounds is left to the validation of the answer. Raises
    `SchemaError` when all that is allowed lies beyond 10^18.
    """
    lowest, highest = _bound(schema, "minimum"), _bound(schema, "maximum")
    if lowest is None and highest is None and not _exclusive(schema):
        return ANY_INTEGER if integer else ANY_NUMBER
    decimals = 0 if integer else _decimals(schema)
    low, high = _scaled(schema, decimals)
    step = _bound(schema, "multipleOf")
    if step is not None and step > 0 and (multiples := _multiples(low, high, step, decimals)) is not None:
        return multiples
    options: list[Node] = []
    if low < 0 and low <= high:
        options.append(Concatenation((Text("-"), _magnitude(max(1, -high), -low, decimals))))
    if high >= 0 and low <= high:
        options.append(_magnitude(max(0, low), high, decimals))
    return Alternatives(tuple(options)) if options else NOTHING


def _bound(schema: Mapping[str, Any], keyword: str) -> Decimal | None:
    value = schema.get(keyword)
    return None if value is None or isinstance(value, bool) else Decimal(str(value))


def _exclusive(schema: Mapping[str, Any]) -> bool:
    return _bound(schema, "exclusiveMinimum") is not None or _bound(schema, "exclusiveMaximum") is not None


def _decimals(schema: Mapping[str, Any]) -> int:
    bounds = (_bound(schema, name) for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
    exponents = (bound.normalize(_EXACT).as_tuple().exponent for bound in bounds if bound is not None)
    return min(DIGITS, max(DECIMALS, *(-exponent for exponent in exponents if isinstance(exponent, int))))


def _scaled(schema: Mapping[str, Any], decimals: int) -> tuple[int, int]:
    """The lowest and the highest number allowed, times 10^decimals; `exclusiveMinimum: true` is that of draft 4."""
    scale = Decimal(10) ** decimals
    low, high = -(LARGEST * int(scale)), LARGEST * int(scale)
    for name, exclusive in (("minimum", schema.get("exclusiveMinimum") is True), ("exclusiveMinimum", True)):
        if (bound := _bound(schema, name)) is not None:
            lowest = _EXACT.multiply(bound, scale)
            whole = int(lowest.to_integral_value(ROUND_CEILING))
            low = max(low, whole + (exclusive and whole == lowest))
    for name, exclusive in (("maximum", schema.get("exclusiveMaximum") is True), ("exclusiveMaximum", True)):
        if (bound := _bound(schema, name)) is not None:
            highest = _EXACT.multiply(bound, scale)
            whole = int(highest.to_integral_value(ROUND_FLOOR))
            high = min(high, whole - (exclusive and whole == highest))
    if low > LARGEST * scale or high < -LARGEST * scale:
        raise SchemaError("numbers beyond 10^18 are not supported; change minimum or maximum")
    return low, high


def _multiples(low: int, high: int, step: Decimal, decimals: int) -> Node | None:
    """Every multiple of `step` between the scaled bounds, or None where they are too many to list."""
    scale = Decimal(10) ** decimals
    first = int(_EXACT.divide(Decimal(low), _EXACT.multiply(step, scale)).to_integral_value(ROUND_CEILING))
    last = int(_EXACT.divide(Decimal(high), _EXACT.multiply(step, scale)).to_integral_value(ROUND_FLOOR))
    if last - first >= MOST_MULTIPLES:
        return None
    multiples = (_EXACT.multiply(step, Decimal(factor)) for factor in range(first, last + 1))
    if decimals == 0:
        multiples = (multiple for multiple in multiples if multiple == multiple.to_integral_value())
        return Alternatives(tuple(Text(str(int(multiple))) for multiple in multiples))
    return Alternatives(tuple(Text(f"{multiple:f}") for multiple in multiples))


def _magnitude(low: int, high: int, decimals: int) -> Node:
    """Decimal numbers from low to high (0 <= low <= high, times 10^decimals), of each length in turn."""
    options = []
    shortest, longest = (max(len(str(bound)), decimals + 1) for bound in (low, high))
    for length in range(shortest, longest + 1):
        least = str(low if length == shortest else 10 ** (length - 1)).zfill(length)
        most = str(high if length == longest else 10**length - 1).zfill(length)
        options.append(_before_point(least, most, length - decimals, decimals))
    return Alternatives(tuple(options))


def _before_point(low: str | None, high: str | None, whole: int, decimals: int) -> Node:
    """`whole` digits and then `decimals` ones; the bounds have all of these digits, None is unbounded."""
    if whole == 0:
        return _point(low, high, decimals)
    if low is None and high is None:
        return Concatenation((Repeat(DIGIT, whole, whole), _point(None, None, decimals)))
    return _by_first_digit(low, high, lambda least, most: _before_point(least, most, whole - 1, decimals))


def _point(low: str | None, high: str | None, decimals: int) -> Node:
    if decimals == 0:
        return EMPTY
    digits = _by_first_digit(low, high, lambda least, most: _after_point(least, most, decimals - 1))
    fraction = Concatenation((Text("."), digits))
    return optional(fraction) if _is_zero(low) else fraction


def _after_point(low: str | None, high: str | None, decimals: int) -> Node:
    """At most `decimals` digits: those that are missing are zeros."""
    if decimals == 0:
        return EMPTY
    if low is None and high is None:
        return Repeat(DIGIT, 0, decimals)
    digits = _by_first_digit(low, high, lambda least, most: _after_point(least, most, decimals - 1))
    return optional(digits) if _is_zero(low) else digits


def _is_zero(low: str | None) -> bool:
    return low is None or not low.strip("0")


def _by_first_digit(low: str | None, high: str | None, rest: Callable[[str | None, str | None], Node]) -> Node:
    """A digit between the first ones of the bounds, then the rest: bounded only after the bound's own digit."""
    first, last = int(low[0]) if low else 0, int(high[0]) if high else 9
    if low is not None and high is not None and first == last:
        return Concatenation((_digit(first, last), rest(low[1:], high[1:])))
    options = []
    if low is not None:
        options.append(Concatenation((_digit(first, first), rest(low[1:], None))))
        first += 1
    if high is not None:
        options.append(Concatenation((_digit(last, last), rest(None, high[1:]))))
        last -= 1
    if first <= last:
        options.append(Concatenation((_digit(first, last), rest(None, None))))
    return Alternatives(tuple(options))


def _digit(first: int, last: int) -> Node:
    return Characters(((ord("0") + first, ord("0") + last),))
