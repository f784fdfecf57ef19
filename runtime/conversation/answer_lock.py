"""Who has the language model's memory: the newest question, or the newest few where there are several places."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from uhd_edge.runtime.conversation.answer_stream import AnswerStream
from uhd_edge.runtime.errors import AnswerError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.llm.language_model import LanguageModel


class _Ticket:
    """An answer in progress; `is_used` until it has ended."""

    def __init__(self) -> None:
        self.is_used = True


class AnswerLock:
    """Lets threads and conversations take turns with the engines and the language model.

    Up to `places` answers may be in progress. Hold `lock`, a reentrant one, for anything else that must not happen
    during a step of an answer.
    """

    def __init__(self, places: int = 1) -> None:
        self.lock = threading.RLock()
        self._places = range(places)
        self._taken: dict[int, _Ticket] = {}  # of each place, the latest last
        self._closed = False

    def require_open(self) -> None:
        """Raise `ModelError` when the assistant has been closed."""
        if self._closed:
            raise ModelError("the assistant has been closed; open a new one")

    def close(self) -> None:
        """End the current answer at its next step, and refuse all others."""
        with self.lock:
            self._closed = True

    @contextmanager
    def between_answers(self, model: LanguageModel) -> Iterator[None]:
        """Hold `lock` for something else than an answer; if that clears the model's memory, the answer in it ends."""
        with self.lock:
            self.require_open()
            clearings = model.clearings
            try:
                yield
            finally:
                if model.clearings != clearings:
                    self._taken.pop(0, None)

    def take_turns(
        self,
        begin: Callable[[int], Generator[str, None, Answer]],
        require_open: Callable[[], None],
        *,
        place: int | None = None,
    ) -> AnswerStream:
        """Run the steps of an answer, which `begin` starts at a place; other questions may come between two steps.

        `require_open` is called before each step, and raises when the answer is to end. The answer gets `place`, or
        without it the last one that is free, or the one that was taken first. The next step of an answer
        whose place was taken by another raises `AnswerError`.
        """
        return AnswerStream(self._take_turns(begin, require_open, place))

    def finish(self, stream: AnswerStream) -> Answer:
        """Run all steps without letting other questions in between, and return the answer."""
        with self.lock:
            return stream.finish()

    def _take_turns(
        self,
        begin: Callable[[int], Generator[str, None, Answer]],
        require_open: Callable[[], None],
        place: int | None,
    ) -> Generator[str, None, Answer]:
        ticket = _Ticket()
        stream: AnswerStream | None = None
        try:
            while True:
                with self.lock:
                    require_open()
                    if stream is None:
                        place = self._take(ticket, place)
                        stream = AnswerStream(begin(place))
                    if place is None or self._taken.get(place) is not ticket:
                        raise AnswerError("another question was asked before this answer was read to its end")
                    piece = next(stream, None)
                if piece is None:
                    return stream.answer
                yield piece
        finally:
            ticket.is_used = False

    def _take(self, ticket: _Ticket, place: int | None) -> int:
        if place is None:
            used = [place for place, other in self._taken.items() if other.is_used]
            unused = [place for place in self._places if place not in used]
            place = unused[-1] if unused else used[0]
        self._taken.pop(place, None)
        self._taken[place] = ticket
        return place
