"""A progress bar for what takes minutes, and lines that are told meanwhile."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BAR_STEPS = 1000


@contextmanager
def shown_progress() -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar if stderr is a terminal; yields what takes a stage and the fraction done, from 0 to 1."""
    if not sys.stderr.isatty():
        yield lambda _stage, _fraction: None
        return

    def shown(stage: str | None) -> str | None:
        return stage

    with click.progressbar(length=BAR_STEPS, file=sys.stderr, item_show_func=shown) as bar:
        yield lambda stage, fraction: bar.update(max(round(fraction * BAR_STEPS) - bar.pos, 0), stage)


def say(line: str) -> None:
    """Write a line to stderr, in place of the progress bar if there is one; the bar follows below it."""
    bar = "\r\x1b[K" if sys.stderr.isatty() else ""
    click.echo(f"{bar}uhd: {line}", err=True)
