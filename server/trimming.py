"""Whitespace around a text that arrives in pieces, and the tokens of what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.runtime.answer import RankedText

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer, TokenLogprob


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


class ShownTokens:
    """The tokens of a text that arrives in pieces and is shown as `Trimmed` has it.

    A token is told as soon as some of its bytes have been shown, so those that were told are always the first of
    `Answer.logprobs`. A text that has `begun` already keeps the whitespace in front.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self._begun = begun
        self._front = ""
        self._start = self._shown = self._at = 0
        self._data = bytearray()
        self._waiting: list[TokenLogprob] = []
        self._told: list[TokenLogprob] = []
        self._fits = True

    def __call__(self, piece: str, shown: str) -> tuple[TokenLogprob, ...]:
        """Add a piece, because of which so much more was shown, and return the tokens that now can be told."""
        if not isinstance(piece, RankedText):
            return ()
        self._waiting += piece.tokens
        self._data += b"".join(token.data for token in piece.tokens)
        if not self._begun:
            self._front += piece
            self._begun = bool(shown)
            self._start = len(self._front.encode()) - len(self._front.lstrip().encode())
        if not shown or not self._fits:
            return ()
        text = shown.encode()
        begin = self._start + self._shown
        self._shown += len(text)
        self._fits = self._data[begin : begin + len(text)] == text  # broken characters are shown as others
        return tuple(self._taken(begin + len(text))) if self._fits else ()

    def rest(self, answer: Answer) -> tuple[TokenLogprob, ...]:
        """Return the tokens of the answer that have not been told."""
        count = len(self._told)
        return answer.logprobs[count:] if list(answer.logprobs[:count]) == self._told else ()

    def _taken(self, stop: int) -> list[TokenLogprob]:
        taken = []
        while self._waiting and self._at < stop:
            token = self._waiting.pop(0)
            self._at += len(token.data)
            if token.data and self._at > self._start:
                taken.append(token)
        self._told += taken
        return taken
