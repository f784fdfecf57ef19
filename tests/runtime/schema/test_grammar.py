"""What a grammar is cleaned of before a model writes by it."""

from __future__ import annotations

from uhd_edge.runtime.schema.grammar import Choice, Repeat, Rule, Sequence, Text, with_an_end


def test_what_has_no_end_is_cut_away() -> None:
    rules = {
        "tree": Choice((Text("leaf"), Rule("endless"), Sequence((Rule("tree"), Rule("tree"))))),
        "endless": Sequence((Text("("), Rule("endless"), Text(")"))),
        "maybe": Repeat(Rule("endless"), 0, None),
    }
    assert with_an_end(rules) == {
        "tree": Choice((Text("leaf"), Sequence((Rule("tree"), Rule("tree"))))),
        "maybe": Sequence(()),
    }
