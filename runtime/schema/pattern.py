"""A regular expression of a JSON schema as a grammar of the JSON strings that fit it.

The expression is read by Python's own parser of them. Quotes, backslashes and line breaks
that fit come out escaped, as JSON wants them.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any, Final

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.grammar import (
    MOST_REPETITIONS,
    Alternatives,
    Characters,
    Concatenation,
    Node,
    Repeat,
    Text,
    may_be_empty,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType

Ranges = tuple[tuple[int, int], ...]

# What stands in a JSON string as it is: no quote, no backslash, no control character, no half of a character.
PLAIN: Final[Ranges] = (
    (0x20, 0x21),
    (0x23, 0x5B),
    (0x5D, 0x7E),
    (0xA0, 0xD7FF),
    (0xE000, 0xFFFD),
    (0x10000, 0x10FFFF),
)
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}

_PRINTABLE = frozenset(map(ord, string.printable)) - frozenset(map(ord, string.whitespace)) | {0x20}
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": frozenset(map(ord, string.digits)),
    "CATEGORY_SPACE": frozenset({0x20}),
    "CATEGORY_WORD": frozenset(map(ord, string.ascii_letters + string.digits + "_")),
}
LONGEST_PATTERN = 1000


def pattern_node(pattern: str) -> Node:
    r"""What stands between the quotes of a JSON string that `pattern` describes from its first character to its last.

    `^` and `$` at the ends are allowed and change nothing. `\d`, `\w`, `\s` and their
    opposites mean ASCII. Raises `SchemaError` for lookaheads, back references, flags and
    whatever else is no regular language, for repetitions over 2000, and for a repeated
    part that may be empty.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise SchemaError(f"a pattern has {len(pattern)} characters, more than {LONGEST_PATTERN}; shorten it")
    try:
        parsed: Any = _parser().parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise SchemaError(f"the pattern {pattern!r} is not a regular expression ({error})") from error
    if parsed.state.flags & ~re.UNICODE:
        raise _unsupported(pattern, "flags")
    try:
        return _branches(list(parsed), pattern)
    except RecursionError as error:
        raise _unsupported(pattern, "so many groups in each other") from error


def _parser() -> ModuleType:
    try:
        from re import _parser as parser  # type: ignore[attr-defined]
    except ImportError:  # Python 3.10
        import sre_parse as parser
    return parser  # type: ignore[no-any-return]


def _branches(items: list[Any], pattern: str) -> Node:
    """The whole expression: here `^` and `$` may stand, at the ends of each alternative."""
    if items and _name(items[0]) == "AT" and str(items[0][1]) == "AT_BEGINNING":
        items = items[1:]
    if items and _name(items[-1]) == "AT" and str(items[-1][1]) == "AT_END":
        items = items[:-1]
    if len(items) == 1 and _name(items[0]) == "BRANCH":
        return Alternatives(tuple(_branches(list(branch), pattern) for branch in items[0][1][1]))
    if len(items) == 1 and _name(items[0]) == "SUBPATTERN" and not any(items[0][1][1:3]):
        return _branches(list(items[0][1][3]), pattern)
    return _sequence(items, pattern)


def _sequence(items: Iterable[Any], pattern: str) -> Node:
    return Concatenation(tuple(_node(item, pattern) for item in items))


def _node(item: Any, pattern: str) -> Node:
    name, value = _name(item), item[1]
    if name in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
        return one_of(_ranges(item, pattern))
    if name == "BRANCH":
        return Alternatives(tuple(_sequence(branch, pattern) for branch in value[1]))
    if name == "SUBPATTERN" and not any(value[1:3]):
        return _sequence(value[3], pattern)
    if name in ("MAX_REPEAT", "MIN_REPEAT"):
        return _repeat(value, pattern)
    raise _unsupported(pattern, name.lower().replace("_", " "))


def _repeat(value: Any, pattern: str) -> Node:
    least, most, part = int(value[0]), value[1], _sequence(value[2], pattern)
    endless = str(most) == "MAXREPEAT"
    if (endless or most > 1) and may_be_empty(part):
        raise _unsupported(pattern, "a repeated part that may be empty")
    if least > MOST_REPETITIONS or (not endless and most > MOST_REPETITIONS):
        raise _unsupported(pattern, f"more than {MOST_REPETITIONS} repetitions")
    return Repeat(part, least, None if endless else int(most))


def one_of(ranges: Ranges) -> Node:
    """One character of these, as a JSON string shows it."""
    escaped = tuple(
        Text(shown) for character, shown in _ESCAPES.items() if any(a <= ord(character) <= b for a, b in ranges)
    )
    plain = tuple((max(a, c), min(b, d)) for a, b in ranges for c, d in PLAIN if max(a, c) <= min(b, d))
    return Alternatives((Characters(plain), *escaped)) if plain else Alternatives(escaped)


def _ranges(item: Any, pattern: str) -> Ranges:
    name, value = _name(item), item[1]
    if name == "LITERAL":
        return ((value, value),)
    if name == "NOT_LITERAL":
        return _without(((value, value),))
    if name == "ANY":
        return PLAIN
    items = list(value)
    negated = bool(items) and _name(items[0]) == "NEGATE"
    inside = [part for entry in items[negated:] for part in _class_ranges(entry, pattern)]
    if not negated:
        return tuple(inside)
    has_category = any(_name(entry) == "CATEGORY" for entry in items)
    return tuple((a, b) for a, b in _without(inside) if not has_category or b < 0x80)


def _class_ranges(entry: Any, pattern: str) -> Ranges:
    name, value = _name(entry), entry[1]
    if name == "LITERAL":
        return ((value, value),)
    if name == "RANGE":
        return (tuple(value),)
    category = str(value)
    if category in _CATEGORIES:
        return _as_ranges(_CATEGORIES[category])
    if category.replace("_NOT", "") in _CATEGORIES:
        return _as_ranges(_PRINTABLE - _CATEGORIES[category.replace("_NOT", "")])
    raise _unsupported(pattern, category.lower())


def _as_ranges(points: Iterable[int]) -> Ranges:
    return tuple((point, point) for point in sorted(points))


def _without(excluded: Sequence[tuple[int, int]]) -> Ranges:
    """What is plain and in none of these; split at each, and at the end of ASCII."""
    left = [*((a, b) for a, b in PLAIN if b < 0x80), *((a, b) for a, b in PLAIN if b >= 0x80)]
    for first, last in excluded:
        left = [part for a, b in left for part in ((a, min(b, first - 1)), (max(a, last + 1), b)) if part[0] <= part[1]]
    return tuple(left)


def _name(item: Any) -> str:
    return str(item[0])


def _unsupported(pattern: str, what: str) -> SchemaError:
    return SchemaError(f"the pattern {pattern!r} has {what}, which cannot be enforced while an answer is written")
