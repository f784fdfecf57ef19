"""Which conversation was last at each place, for the next question of it to come back to."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from uhd_edge.runtime.prompt.messages import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.runtime.conversation.request import Request


class LatestMessages:
    """The messages of the latest question at each of so many places; of a question by itself there are none."""

    def __init__(self, places: int) -> None:
        self._messages: list[tuple[Message, ...]] = [()] * places

    def note(self, request: Request, place: int) -> None:
        """Note that this is the latest one at a place."""
        self._messages[place] = _messages(request)

    def liking(self, request: Request) -> Callable[[int], int]:
        """Return what says how many messages the latest question at a place began with as this one does."""
        own = _messages(request)

        def shared(place: int) -> int:
            pairs = zip(own, self._messages[place], strict=False)
            return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

        return shared


def _messages(request: Request) -> tuple[Message, ...]:
    if isinstance(request.question, str):
        return ()
    return tuple(one for one in request.question if isinstance(one, Message))
