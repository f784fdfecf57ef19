"""Which conversation was last at each place, for the next question of it to come back to."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar

from uhd_edge.runtime.prompt.messages import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.runtime.conversation.request import Request

Begun = TypeVar("Begun")


class LatestMessages:
    """The messages of the latest question at each of so many places; of a question by itself there are none.

    What was read of them need not be kept: then no place is liked.
    """

    def __init__(self, places: int, *, are_kept: bool) -> None:
        self._messages: list[tuple[Message, ...]] = [()] * places
        self._are_kept = are_kept

    def noting(self, request: Request, begin: Callable[[int], Begun]) -> Callable[[int], Begun]:
        """Return what begins at a place as `begin` does, and notes that this question is the latest one there."""

        def noted(place: int) -> Begun:
            self._messages[place] = _messages(request)
            return begin(place)

        return noted

    def liking(self, request: Request) -> Callable[[int], int] | None:
        """Return what says how many messages the latest question at a place began with as this one does."""
        if not self._are_kept:
            return None
        own = _messages(request)

        def shared(place: int) -> int:
            pairs = zip(own, self._messages[place], strict=False)
            return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

        return shared


def _messages(request: Request) -> tuple[Message, ...]:
    if isinstance(request.question, str):
        return ()
    return tuple(one for one in request.question if isinstance(one, Message))
