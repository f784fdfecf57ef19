"""Printing an answer while it is generated."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.conversation.answer_stream import AnswerStream


def print_pieces(stream: AnswerStream) -> Answer:
    """Print an answer's text while it is generated, without whitespace before it, and return the answer."""
    begun = False
    for piece in stream:
        shown = piece if begun else piece.lstrip()
        begun = begun or bool(shown)
        if shown:
            click.echo(shown, nl=False)
            sys.stdout.flush()
    click.echo()
    return stream.answer


def say_budget(answer: Answer) -> None:
    """Say on stderr when a budget could not be met."""
    if answer.plan is not None and not answer.plan.within_budget:
        predicted = f"{answer.plan.predicted_ms:.0f} ms"
        click.echo(f"uhd: the budget cannot be met; the fastest setting was used, predicted at {predicted}", err=True)
