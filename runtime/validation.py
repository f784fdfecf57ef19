"""Numbers that a user sets: those of Python and of NumPy alike, whole ones and others, within limits."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import TYPE_CHECKING, cast

from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import SupportsIndex

HIGHEST_COUNT = 2**31 - 1

# llama.cpp's GGML_MAX_N_THREADS; more of them abort the process.
MOST_THREADS = 512

# Answers in progress at a time; each takes the memory of a context.
MOST_AT_ONCE = 16

# Names in an error's line.
MOST_NAMES = 5


def require_number(name: str, value: object, lowest: float, highest: float, *, hint: str) -> float:
    """Return `value` as a float; raises `OptionError` unless it is a number from `lowest` to `highest`."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise OptionError(f"{name} is {value!r}; it must be a number, {hint}", parameter=name)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not lowest <= number <= highest:
        raise OptionError(f"{name} is {number}; it must be {hint}", parameter=name)
    return number


def require_whole(name: str, value: object, lowest: int, highest: int) -> int:
    """Return `value` as an int; raises `OptionError` unless it is a whole number from `lowest` to `highest`."""
    whole = whole_number(value)
    if whole is None:
        raise OptionError(f"{name} is {value!r}; it must be a whole number", parameter=name)
    if not lowest <= whole <= highest:
        raise OptionError(f"{name} is {shown_number(whole)}; it must be from {lowest} to {highest}", parameter=name)
    return whole


def whole_number(value: object) -> int | None:
    """Return a whole number of Python's or NumPy's as an int; None for anything else, such as a truth value."""
    try:
        return None if isinstance(value, bool) else operator.index(cast("SupportsIndex", value))
    except TypeError:  # of an array too, which has the method
        return None


def shown_number(whole: int) -> str:
    """Return a whole number as text, about how large it is where it has more digits than anybody reads."""
    if whole.bit_length() <= 128:
        return str(whole)
    return f"{'-' if whole < 0 else ''}1e{round(whole.bit_length() * math.log10(2))} or so"


def shown_names(names: Sequence[str]) -> str:
    """Return names as text, of many the first few and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names) if more < 2 else f"{', '.join(names[:MOST_NAMES])} and {more} more"
