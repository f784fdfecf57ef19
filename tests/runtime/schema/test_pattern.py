"""Grammars of patterns, against Python's own matching."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.grammar_as_regex import as_regex
from support.schemas.patterns import PATTERNS

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.pattern import pattern_node
from uhd_edge.runtime.schema.strings import FORMATS


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=10)
@given(data=st.data())
def test_what_the_grammar_of_a_pattern_allows_is_json_that_the_pattern_finds(pattern: str, data: st.DataObject) -> None:
    content = data.draw(st.from_regex(as_regex(pattern_node(pattern), highest=0x17F), fullmatch=True))
    assert re.search(pattern, json.loads(f'"{content}"'))


@pytest.mark.parametrize("pattern", [*PATTERNS[:2], PATTERNS[3], *PATTERNS[5:8], *FORMATS.values()])
@settings(max_examples=10)
@given(data=st.data())
def test_the_grammar_of_a_pattern_allows_whatever_of_ascii_the_pattern_describes(
    pattern: str, data: st.DataObject
) -> None:
    plain = st.sampled_from([chr(point) for point in range(0x20, 0x7F) if chr(point) not in '"\\'])
    text = data.draw(st.from_regex(pattern, fullmatch=True, alphabet=plain))
    assert re.fullmatch(as_regex(pattern_node(pattern)), text)


@pytest.mark.parametrize(
    "pattern",
    [r"(?=a)b", r"(a)\1", r"(?i)a", r"a\b", r"a(^b)", r"(a*)*", "a{3000}", "a{0,3000}", "[", "x" * 1001, "(" * 500],
)
def test_a_pattern_that_no_grammar_can_keep_to_is_refused(pattern: str) -> None:
    with pytest.raises(SchemaError, match="pattern"):
        pattern_node(pattern)
