"""Which pictures a terminal can show: kitty's graphics, sixel, or none; and how wide they may be."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import termios
import time
import tty
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Graphics: TypeAlias = "Literal['kitty', 'sixel']"

# How long a terminal is waited for that does not answer; across the world one answers within 0.5 s.
PATIENCE = 1.0

# What makes a terminal tell its attributes (DEC's DA1), and what it says; 4 among them is sixel.
_ASK_ATTRIBUTES = b"\x1b[c"
_ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
_SIXEL = b"4"

_KITTY_TERMS = frozenset({"xterm-kitty", "xterm-ghostty"})
_KITTY_PROGRAMS = frozenset({"ghostty", "WezTerm"})
_CELL = 8  # pixels of a column, where the terminal does not tell


def find_graphics(descriptor: int, environment: Mapping[str, str], *, seconds: float = PATIENCE) -> Graphics | None:
    """Find out what the terminal at `descriptor` can show; None for one that can show nothing, and for what is none.

    Kitty's graphics are known by the environment. Otherwise the terminal is asked, once, and
    only by a process that it listens to: one in the background would be stopped.
    """
    term = environment.get("TERM", "")
    if not os.isatty(descriptor) or term in ("", "dumb", "linux"):
        return None
    inside_another = "TMUX" in environment or "STY" in environment  # it passes no graphics on
    if not inside_another and (
        term in _KITTY_TERMS or "KITTY_WINDOW_ID" in environment or environment.get("TERM_PROGRAM") in _KITTY_PROGRAMS
    ):
        return "kitty"
    return "sixel" if _SIXEL in _attributes(descriptor, seconds) else None


def pixel_width(descriptor: int) -> int:
    """How many pixels fit beside each other in the terminal at `descriptor`."""
    try:
        size = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return 80 * _CELL
    _, columns, width, _ = struct.unpack("HHHH", size)
    return int(width or (columns or 80) * _CELL)


def _attributes(descriptor: int, seconds: float) -> list[bytes]:
    """What the terminal says of itself; nothing when it does not answer in time."""
    try:
        if os.tcgetpgrp(descriptor) != os.getpgrp():
            return []
        before = termios.tcgetattr(descriptor)
    except (OSError, termios.error):
        return []
    said = b""
    try:
        tty.setcbreak(descriptor)
        os.write(descriptor, _ASK_ATTRIBUTES)
        end = time.monotonic() + seconds
        while not _ATTRIBUTES.search(said) and select.select([descriptor], [], [], max(0, end - time.monotonic()))[0]:
            read = os.read(descriptor, 256)
            if not read:
                break
            said += read
    except (OSError, termios.error):
        return []
    finally:
        # A late answer must not be taken for what the user types.
        termios.tcsetattr(descriptor, termios.TCSADRAIN if _ATTRIBUTES.search(said) else termios.TCSAFLUSH, before)
    found = _ATTRIBUTES.search(said)
    return found[1].split(b";") if found else []
