"""How far a long work is, on standard error: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Step = TypeVar("Step")

LINES = 20  # in a log, at most


def follow(steps: Iterable[Step], count: int, what: str, *, clock: Callable[[], float] = time.monotonic) -> None:
    """Take all of `count` steps, and say how many are done and how long the rest takes."""
    if sys.stderr.isatty():
        with click.progressbar(steps, length=count, label=what, file=sys.stderr, show_pos=True) as bar:
            for _ in bar:
                pass
        return
    began, between = clock(), max(1, -(-count // LINES))
    for done, _ in enumerate(steps, 1):
        if done % between == 0 and done < count:
            left = (clock() - began) / done * (count - done)
            click.echo(f"{what}: {done} of {count}, about {duration(left)} left", err=True)


def duration(seconds: float) -> str:
    """Seconds below two minutes, minutes below two hours, then hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
