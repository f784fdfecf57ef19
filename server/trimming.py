"""Whitespace around a text that arrives in pieces."""

from __future__ import annotations


class Trimmed:
    """Strips the whitespace around a text that arrives in pieces, as `Answer.text` is stripped.

    A text that has `begun` already keeps the whitespace in front.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self._begun = begun
        self._space = ""

    def __call__(self, piece: str) -> str:
        """Add a piece and return the part of the text that can be sent now."""
        if not self._begun:
            piece = piece.lstrip()
            self._begun = bool(piece)
        text = self._space + piece
        shown = text.rstrip()
        self._space = text[len(shown) :]
        return shown
