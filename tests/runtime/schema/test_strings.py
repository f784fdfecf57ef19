"""Grammars of strings count characters as JSON does."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st
from support.grammar_as_regex import as_regex

from uhd_edge.runtime.schema.strings import string_node


@given(least=st.integers(0, 5), more=st.integers(0, 5), text=st.text(st.characters(max_codepoint=0x7E), max_size=12))
def test_lengths_are_those_of_the_string_and_not_of_its_escapes(least: int, more: int, text: str) -> None:
    fits = as_regex(string_node({"minLength": least, "maxLength": least + more}))
    assert bool(re.fullmatch(fits, json.dumps(text))) == (least <= len(text) <= least + more)
