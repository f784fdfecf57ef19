"""Answers are printed as they come, progress in place of what was there, and the time that something still takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator

import pytest

from uhd_edge.cli.printing import print_pieces
from uhd_edge.cli.progress import say, shown_progress, shown_time_left, time_left
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


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[bool], str]:
    """What goes to stderr while something is half done and a line is told."""

    def show(terminal: bool) -> str:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        with shown_progress() as progress:
            progress("downloading", 0.5)
            say("half of it is here")
            progress("downloading", 1.0)
        return capsys.readouterr().err

    return show


def test_a_log_file_gets_lines_and_no_bar(shown: Callable[[bool], str]) -> None:
    assert shown(False) == "uhd: half of it is here\n"


def test_a_terminal_shows_lines_in_place_of_the_bar(shown: Callable[[bool], str]) -> None:
    bar, line = shown(True).split("uhd: ")
    assert "downloading" in bar
    assert bar.endswith("\r\x1b[K")  # the bar's line is cleared
    assert line.startswith("half of it is here\n")


@pytest.mark.parametrize(
    ("seconds", "fraction", "said"),
    [
        (3, 0.01, ""),
        (120, 0.25, ", about 6 min left"),
        (600, 0.5, ", about 10 min left"),
        (600, 0.95, ", less than a minute left"),
    ],
)
def test_the_rest_takes_as_long_as_what_is_done_did(seconds: float, fraction: float, said: str) -> None:
    assert time_left(seconds, fraction) == said


def test_without_a_terminal_each_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter(range(0, 1000, 60))
    with shown_time_left(lambda: next(seconds)) as progress:
        progress("recording", 0.0)
        progress("recording", 0.1)
        progress("smoothing", 0.2)
    assert capsys.readouterr().err.splitlines() == ["recording", "smoothing, about 8 min left"]
