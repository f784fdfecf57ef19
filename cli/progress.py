"""The progress of long commands, and lines that are told meanwhile, on standard error."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BAR_STEPS = 1000
LEAST_FRACTION = 0.02  # done before the rest can be told


@contextmanager
def shown_progress() -> Iterator[Callable[[str, float], None]]:
    """Show a bar if stderr is a terminal; yields a function of the stage and the fraction done."""
    if not sys.stderr.isatty():
        yield lambda _stage, _fraction: None
        return
    with click.progressbar(length=BAR_STEPS, file=sys.stderr, item_show_func=_itself) as bar:
        yield lambda stage, fraction: bar.update(max(round(fraction * BAR_STEPS) - bar.pos, 0), stage)


@contextmanager
def shown_time_left(clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[str, float], None]]:
    """Show a bar with the time that is left; without a terminal, a line at the beginning of each stage.

    Yields a function of the stage and the fraction done.
    """
    begun = clock()

    def described(stage: str, fraction: float) -> str:
        return f"{stage}{time_left(clock() - begun, fraction)}"

    if not sys.stderr.isatty():
        told: set[str] = set()

        def tell(stage: str, fraction: float) -> None:
            if stage not in told:
                told.add(stage)
                click.echo(described(stage, fraction), err=True)

        yield tell
        return
    with click.progressbar(length=BAR_STEPS, file=sys.stderr, show_eta=False, item_show_func=_itself) as bar:

        def update(stage: str, fraction: float) -> None:
            bar.update(max(round(fraction * BAR_STEPS) - bar.pos, 0), described(stage, fraction))

        yield update


def time_left(seconds: float, fraction: float) -> str:
    """Say how long the rest takes, if `fraction` took `seconds`; nothing at the very beginning."""
    if fraction < LEAST_FRACTION:
        return ""
    minutes = seconds * (1 - fraction) / fraction / 60
    return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"


def _itself(stage: str | None) -> str | None:
    return stage


def say(line: str) -> None:
    """Write a line to stderr, in place of the progress bar if there is one; the bar follows below it."""
    bar = "\r\x1b[K" if sys.stderr.isatty() else ""
    click.echo(f"{bar}uhd: {line}", err=True)
