"""Printing an answer while it is generated."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Generator

    from uhd_edge.runtime.answer import Answer


def print_pieces(steps: Generator[str, None, Answer]) -> Answer:
    """Print an answer's text while it is generated, without whitespace before it, and return the answer."""
    begun = False
    while True:
        try:
            piece = next(steps)
        except StopIteration as end:
            click.echo()
            answer: Answer = end.value
            return answer
        shown = piece if begun else piece.lstrip()
        begun = begun or bool(shown)
        if shown:
            click.echo(shown, nl=False)
            sys.stdout.flush()


def say_budget(answer: Answer) -> None:
    """Say on stderr when a budget could not be met."""
    if answer.plan is not None and not answer.plan.within_budget:
        predicted = f"{answer.plan.predicted_ms:.0f} ms"
        click.echo(f"uhd: the budget cannot be met; the fastest setting was used, predicted at {predicted}", err=True)
