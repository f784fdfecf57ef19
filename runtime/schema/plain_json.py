"""JSON that others write is read: numbers that JSON has and computers too, and texts of whole characters."""

from __future__ import annotations

import json
import math
from typing import Any, Final

# No number that means something is longer, and Python limits what it reads.
MOST_DIGITS: Final = 100

HALVED: Final = "the text is not valid Unicode (it has half of a surrogate pair); give it as UTF-8"

_SHOWN: Final = 40


class NumberError(ValueError):
    """A number of a JSON text that is too long or too large."""


def load_plain_json(text: str | bytes) -> Any:
    """Return the value that a JSON text stands for.

    Raises `ValueError` that says in one line what is wrong, for NaN and infinity too, `NumberError` for numbers
    that are too large or have more than `MOST_DIGITS` digits, and `RecursionError` for what is nested too deeply.
    """
    return json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_refused)


def why_unread(error: ValueError | RecursionError) -> str:
    """Say after the name of a text why `load_plain_json` could not read it."""
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    return f"cannot be read: {error}" if isinstance(error, NumberError) else f"is not JSON ({error})"


def find_halved_text(value: object) -> str | None:
    r"""Return a text or a name within a JSON value that has half of a character, such as "\ud83d"; None without one.

    JavaScript cuts texts in the middle of characters. No UTF-8 can show such a half.
    """
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            if not one.isascii() and any("\ud800" <= character <= "\udfff" for character in one):
                return one
        elif isinstance(one, dict):
            left += one
            left += one.values()
        elif isinstance(one, list | tuple):
            left += one
    return None


def whole_characters(text: str) -> str:
    """Return a text with U+FFFD in place of each half of a character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _whole(digits: str) -> int:
    if (count := len(digits.lstrip("-"))) > MOST_DIGITS:
        raise NumberError(f"a number has {count} digits, more than {MOST_DIGITS}")
    return int(digits)


def _finite(number: str) -> float:
    if not math.isfinite(float(number)):
        raise NumberError(f"the number {number[:_SHOWN]} is too large")
    return float(number)


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is not a number that JSON has")
