"""An answer printed as it comes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable


def print_pieces(pieces: Iterable[str]) -> None:
    """Print as the text comes, but from its first word on, as in the whole answer."""
    begun = False
    for piece in pieces:
        shown = piece if begun else piece.lstrip()
        begun = begun or bool(shown)
        click.echo(shown, nl=False)
        sys.stdout.flush()
    click.echo()
