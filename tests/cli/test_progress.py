"""What is shown while something takes minutes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from uhd_edge.cli.progress import say, shown_progress

if TYPE_CHECKING:
    from collections.abc import Callable


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
