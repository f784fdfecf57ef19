"""Long works say how long they still take, in a terminal and in a log."""

from __future__ import annotations

import io
import sys

import pytest

from uhd_edge.cli.remaining import duration, follow


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    ticks = iter(range(0, 100_000, 6))
    follow(range(100), 100, "data", clock=lambda: float(next(ticks)))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 19
    assert lines[0] == "data: 5 of 100, about 114 s left"  # 6 s for five: the clock is read once a line
    assert lines[-1].startswith("data: 95 of 100, about ")


def test_a_short_work_is_silent_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    follow(range(1), 1, "data")
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    follow(range(10), 10, "data")
    assert "data" in terminal.getvalue()
    assert "10/10" in terminal.getvalue()


def test_durations_are_short() -> None:
    assert [duration(seconds) for seconds in (3, 119, 120, 3600, 7199, 9000)] == [
        "3 s",
        "119 s",
        "2 min",
        "60 min",
        "120 min",
        "2.5 h",
    ]
