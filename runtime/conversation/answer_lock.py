"""Who has the language model's memory: the newest question, or the newest few where there are several places.

Places that share a context of the language model are in one lane. Answers in one lane take turns, a step of each;
those in different lanes go on beside each other, if different threads run them.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from uhd_edge.runtime.conversation.answer_stream import AnswerStream
from uhd_edge.runtime.errors import AnswerError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.llm.language_model import LanguageModel


class _Ticket:
    """An answer in progress in the thread that began it; `is_used` until it has ended."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.is_used = True


class AnswerLock:
    """Lets threads and conversations take turns with the engines and the language model.

    As many answers may be in progress as there are places; `lanes` are the numbers of their lanes, from 0 on. Hold all
    lanes with `between_steps` for anything else that must not happen during a step of an answer.
    """

    def __init__(self, lanes: Sequence[int]) -> None:
        self._lanes = tuple(lanes)
        self._lane_locks = tuple(threading.RLock() for _ in set(lanes))
        self._choosing = threading.Lock()
        self._taken: dict[int, _Ticket] = {}  # of each place, the latest last
        self._closed = False

    def require_open(self) -> None:
        """Raise `ModelError` when the assistant has been closed."""
        if self._closed:
            raise ModelError("the assistant has been closed; open a new one")

    def close(self) -> None:
        """End the current answers at their next step, and refuse all others."""
        with self.between_steps():
            self._closed = True

    @contextmanager
    def between_steps(self) -> Iterator[None]:
        """Hold all lanes, so that no answer makes a step. A thread that holds them may do so again."""
        with ExitStack() as held:
            for lane in self._lane_locks:
                held.enter_context(lane)
            yield

    @contextmanager
    def between_answers(self, model: LanguageModel) -> Iterator[None]:
        """Hold all lanes for something else than an answer; if it clears the model's memory, the answer in it ends."""
        with self.between_steps():
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
        liking: Callable[[int], int] | None = None,
    ) -> AnswerStream:
        """Run the steps of an answer, which `begin` starts at a place; other questions may come between two steps.

        `require_open` is called before each step, and raises when the answer is to end. The answer gets `place`, or
        without it the last free one in the best lane: where this thread runs answers already and others do
        not. With `liking`, it gets the free one that it has most of it for, and of equal ones in a lane the one
        that nobody has had for longest. Where no place is free, it gets the one that was taken first. The next
        step of an answer whose place was taken by another raises `AnswerError`.
        """
        return AnswerStream(self._take_turns(begin, require_open, place, liking))

    def finish(self, stream: AnswerStream) -> Answer:
        """Run all steps without letting other questions in between, and return the answer."""
        with self.between_steps():
            return stream.finish()

    def _take_turns(
        self,
        begin: Callable[[int], Generator[str, None, Answer]],
        require_open: Callable[[], None],
        place: int | None,
        liking: Callable[[int], int] | None,
    ) -> Generator[str, None, Answer]:
        ticket = _Ticket()
        try:
            require_open()
            taken = self._take(ticket, place, liking)
            stream = AnswerStream(begin(taken))
            while True:
                with self._lane_locks[self._lanes[taken]]:
                    require_open()
                    if self._taken.get(taken) is not ticket:
                        raise AnswerError("another question was asked before this answer was read to its end")
                    piece = next(stream, None)
                if piece is None:
                    return stream.answer
                yield piece
        finally:
            ticket.is_used = False

    def _take(self, ticket: _Ticket, place: int | None, liking: Callable[[int], int] | None) -> int:
        with self._choosing:
            if place is None:
                place = self._choose(ticket.thread, liking)
            self._taken.pop(place, None)
            self._taken[place] = ticket
        return place

    def _choose(self, thread: int, liking: Callable[[int], int] | None) -> int:
        used = {place: other.thread for place, other in self._taken.items() if other.is_used}
        unused = [place for place in range(len(self._lanes)) if place not in used]

        order = list(self._taken)

        def how_bad(place: int) -> tuple[int, ...]:
            beside = [other == thread for taken, other in used.items() if self._lanes[taken] == self._lanes[place]]
            others_and_own = (beside.count(False), -beside.count(True))
            if liking is None:
                return others_and_own
            return (-liking(place), *others_and_own, order.index(place) if place in order else -1)

        return min(reversed(unused), key=how_bad) if unused else next(iter(used))
