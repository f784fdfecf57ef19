"""Answers are printed as they come."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from uhd_edge.cli.printing import print_pieces
from uhd_edge.runtime.answer import Answer, Thought, Usage
from uhd_edge.runtime.conversation.answer_stream import AnswerStream

ANSWER = Answer("A table", "stop", Usage(0, 1, 1), (), {}, "16x")


def test_a_streamed_answer_begins_with_its_first_word(capsys: pytest.CaptureFixture[str]) -> None:
    def steps() -> Generator[str, None, Answer]:
        yield from ("\n", " \n A", " table ", "", "\n\nwith legs. ")  # models do begin with blank lines
        return ANSWER

    assert print_pieces(AnswerStream(steps())) is ANSWER
    assert capsys.readouterr().out == "A table \n\nwith legs. \n"


def test_thoughts_are_printed_apart_from_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    def steps() -> Generator[str, None, Answer]:
        yield from (Thought("\n"), Thought("It has "), Thought("legs."), "\n\nA ", "table")
        return ANSWER

    print_pieces(AnswerStream(steps()))
    assert tuple(capsys.readouterr()) == ("A table\n", "It has legs.\n")


def test_thoughts_without_an_answer_end_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    def steps() -> Generator[str, None, Answer]:
        yield Thought("Hm")
        return ANSWER

    print_pieces(AnswerStream(steps()))
    assert tuple(capsys.readouterr()) == ("\n", "Hm\n")
