"""What a terminal can show is known, asked for, or given up: never waited for without an end."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from uhd_edge.cli.showing.terminal import find_graphics, pixel_width

if TYPE_CHECKING:
    from collections.abc import Iterator

ASK = b"\x1b[c"
# A program at its terminal: it says what was found, and whether its terminal echoes as before.
PROGRAM = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from uhd_edge.cli.showing.terminal import find_graphics
before = termios.tcgetattr(0)
print(find_graphics(0, {"TERM": "xterm-256color"}, seconds=float(sys.argv[1])), termios.tcgetattr(0) == before)
"""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """(the side of the person, the side of the program)."""
    person, program = pty.openpty()
    yield person, program
    os.close(person)
    os.close(program)


def started(program: int, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(seconds)],
        stdin=program,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("answer", "graphics"), [(b"\x1b[?62;4;22c", "sixel"), (b"typed\x1b[?64;1;24c", "None"), (b"\x1b[?4", "None")]
)
def test_a_terminal_is_asked_and_left_as_it_was(terminal: tuple[int, int], answer: bytes, graphics: str) -> None:
    person, program = terminal
    with started(program, 60 if answer.endswith(b"c") else 0.1) as process:
        assert select.select([person], [], [], 60)[0]
        assert os.read(person, 256) == ASK
        os.write(person, answer)
        assert process.communicate(timeout=60)[0] == f"{graphics} True\n"


def test_a_terminal_that_never_answers_is_not_waited_for(terminal: tuple[int, int]) -> None:
    with started(terminal[1], 0.05) as process:
        assert process.communicate(timeout=60)[0] == "None True\n"


def test_kitty_is_known_without_asking_and_what_cannot_answer_is_not_asked(terminal: tuple[int, int]) -> None:
    person, program = terminal
    found = [
        find_graphics(program, {"TERM": "xterm-256color", **environment})
        for environment in (
            {"TERM": "xterm-kitty"},
            {"KITTY_WINDOW_ID": "1"},
            {"TERM_PROGRAM": "WezTerm"},
            {"KITTY_WINDOW_ID": "1", "TMUX": "x"},  # and it is not this process's own terminal
            {"TERM": "dumb"},
            {"TERM": ""},
            {},
        )
    ]
    assert found == ["kitty", "kitty", "kitty", None, None, None, None]
    assert not select.select([person], [], [], 0)[0]


def test_what_is_no_terminal_shows_nothing() -> None:
    reading, writing = os.pipe()
    assert find_graphics(writing, {"TERM": "xterm-kitty"}) is None
    assert pixel_width(writing) == 640
    os.close(reading)
    os.close(writing)


def test_a_terminal_says_how_wide_it_is_or_is_measured_by_its_columns(terminal: tuple[int, int]) -> None:
    for size, width in (((24, 100, 1000, 480), 1000), ((24, 100, 0, 0), 800), ((0, 0, 0, 0), 640)):
        fcntl.ioctl(terminal[1], termios.TIOCSWINSZ, struct.pack("HHHH", *size))
        assert pixel_width(terminal[1]) == width
