"""What a grammar is cleaned of before a model writes by it."""

from __future__ import annotations

from uhd_edge.runtime.schema.grammar import Alternatives, Concatenation, Repeat, Rule, Text, with_an_end


def test_what_has_no_end_is_cut_away() -> None:
    rules = {
        "tree": Alternatives((Text("leaf"), Rule("endless"), Concatenation((Rule("tree"), Rule("tree"))))),
        "endless": Concatenation((Text("("), Rule("endless"), Text(")"))),
        "maybe": Repeat(Rule("endless"), 0, None),
    }
    assert with_an_end(rules) == {
        "tree": Alternatives((Text("leaf"), Concatenation((Rule("tree"), Rule("tree"))))),
        "maybe": Concatenation(()),
    }
