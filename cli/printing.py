"""Printing an answer while it is generated."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.runtime.answer import Answer, Plan
    from uhd_edge.runtime.conversation.answer_stream import AnswerStream


def print_pieces(stream: AnswerStream) -> Answer:
    """Print an answer's text while it is generated, without whitespace before it, and return the answer.

    Thoughts go to standard error, dimmed on a terminal.
    """
    from uhd_edge.runtime.answer import Thought

    thoughts, text = _Printer(err=True), _Printer(err=False)
    for piece in stream:
        if isinstance(piece, Thought):
            thoughts.print(piece)
        else:
            thoughts.end()
            text.print(piece)
    thoughts.end()
    click.echo()
    return stream.answer


class _Printer:
    """Prints pieces without whitespace before the first."""

    def __init__(self, *, err: bool) -> None:
        self._err = err
        self._begun = False

    def print(self, piece: str) -> None:
        shown = piece if self._begun else piece.lstrip()
        if not shown:
            return
        self._begun = True
        click.echo(click.style(shown, dim=True) if self._err else shown, nl=False, err=self._err)
        (sys.stderr if self._err else sys.stdout).flush()

    def end(self) -> None:
        """End the line, if anything has been printed."""
        if self._begun:
            click.echo(err=self._err)
        self._begun = False


def say_budget(answer: Answer, options: Mapping[str, Any]) -> None:
    """Say on stderr when a budget was not promised; `options` are those of the question."""
    plan = answer.plan
    if plan is None or plan.within_budget:
        return
    if plan.too_noisy:
        reason = too_noisy(plan, options["budget_ms"], options["budget_share"])
        click.echo(f"uhd: {reason}; the fastest setting was used", err=True)
    else:
        predicted = f"{plan.predicted_ms:.0f} ms"
        click.echo(f"uhd: the budget cannot be met; the fastest setting was used, predicted at {predicted}", err=True)


def too_noisy(plan: Plan, budget_ms: float, share: float) -> str:
    """Say why a budget is not promised though the usual time keeps it."""
    return (
        f"{budget_ms:g} ms cannot be promised: this machine is too noisy; half of such questions take up to "
        f"{plan.predicted_ms:.0f} ms, {100 * share:g} of 100 up to {plan.upper_ms:.0f} ms"
    )
