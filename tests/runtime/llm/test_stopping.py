"""Answers end before a stop, however its pieces come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.places import EXAMPLES

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.llm.stopping import StoppedText, parse_stops

BENCH = EXAMPLES / "bench.png"

few_letters = st.text("ab\n", max_size=12)


@example(["abb", "a"], ["b", "abba"])
@example(["abb", "b"], ["b", "abba"])
@example(["abb"], ["b", "abba"])
@given(st.lists(few_letters, max_size=8), st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3))
def test_a_text_ends_before_its_first_stop(pieces: list[str], stops: list[str]) -> None:
    whole = "".join(pieces)
    places = [whole.find(stop) for stop in stops if stop in whole]
    stopped = StoppedText(iter(pieces), tuple(stops))
    shown = list(stopped)
    assert "".join(shown) == (whole[: min(places)] if places else whole)
    assert bool(stopped.found) == bool(places)
    assert len(shown) <= len(pieces) + 1


def test_what_cannot_be_a_stop_is_shown_at_once() -> None:
    shown = iter(StoppedText(iter(["abc", "d", "e", "!x"]), ("de!",)))
    assert [next(shown) for _ in range(3)] == ["abc", "", ""]


def test_an_answer_ends_before_a_stop_and_says_so() -> None:
    with Assistant(threads=1) as assistant:
        whole = assistant.ask(BENCH, "Describe the scene.")
        first, _, rest = whole.text.partition(" labelled")
        assert rest
        answer = assistant.ask(BENCH, "Describe the scene.", stop=[" labelled", "never"])
        assert (answer.text, answer.finish_reason) == (first, "stop")
        assert answer.usage.completion_tokens < whole.usage.completion_tokens
        streamed = assistant.stream(BENCH, "Describe the scene.", stop=" labelled")
        assert "".join(streamed).strip() == first


@pytest.mark.parametrize("stop", ["", [""], ["a", 5], 5, {"a"}, ["a"] * 17])
def test_what_is_no_stop_is_refused(stop: Any) -> None:
    with pytest.raises(OptionError, match="stop"):
        parse_stops(stop)
