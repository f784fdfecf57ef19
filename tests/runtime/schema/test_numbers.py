"""Grammars of numbers allow exactly those between the bounds."""

from __future__ import annotations

import re
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st
from support.grammar_as_regex import as_regex

from uhd_edge.runtime.schema.numbers import number_node

WHOLE = st.integers(-(10**6), 10**6)
DECIMAL = st.decimals(-1000, 1000, places=3, allow_nan=False)


@given(low=WHOLE, high=WHOLE, value=WHOLE)
@example(low=-5, high=12, value=0)
@example(low=99, high=1000, value=100)
def test_integers_between_bounds_are_exactly_those_between_them(low: int, high: int, value: int) -> None:
    fits = as_regex(number_node({"minimum": low, "maximum": high}, integer=True))
    for tried in (value, low, high, low - 1, high + 1, -low, 0):
        assert bool(re.fullmatch(fits, str(tried))) == (low <= tried <= high)
    assert not re.fullmatch(fits, f"0{abs(value)}")
    assert not re.fullmatch(fits, "-0")


@given(low=DECIMAL, high=DECIMAL, value=st.decimals(-1000, 1000, places=5, allow_nan=False), exclusive=st.booleans())
def test_numbers_between_bounds_are_exactly_those_between_them(
    low: Decimal, high: Decimal, value: Decimal, *, exclusive: bool
) -> None:
    names = ("exclusiveMinimum", "exclusiveMaximum") if exclusive else ("minimum", "maximum")
    fits = as_regex(number_node(dict(zip(names, (float(low), float(high)), strict=True)), integer=False))
    for tried in (value, low, high, (low + high) / 2):
        allowed = low < tried < high if exclusive else low <= tried <= high
        shown = f"{tried:f}"
        assert bool(re.fullmatch(fits, shown)) == (allowed and not (tried == 0 and shown.startswith("-")))
        if "." in shown and re.fullmatch(fits, shown):  # zeros at the end may be left out
            assert re.fullmatch(fits, shown.rstrip("0").rstrip("."))


@given(step=st.integers(1, 50), low=st.integers(-300, 300), span=st.integers(0, 300), value=st.integers(-700, 700))
def test_multiples_between_bounds_are_exactly_those(step: int, low: int, span: int, value: int) -> None:
    node = number_node({"minimum": low, "maximum": low + span, "multipleOf": step}, integer=True)
    assert bool(re.fullmatch(as_regex(node), str(value))) == (low <= value <= low + span and value % step == 0)
