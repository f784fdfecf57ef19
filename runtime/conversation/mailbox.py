"""What a thread tells an event loop, several messages at a time.

    messages in a thread  ->  one wake-up for those of a while  ->  read in a task, in order

To wake an event loop takes longer than a token of a small model: the loop wants Python's lock, which the thread
then waits for. So the loop is woken for the first message at once, and looks again by itself while more come.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

Message = TypeVar("Message")

# Seconds from one look to the next: no reader sees that text comes fifty times a second, and not more often.
PAUSE = 0.02


class Mailbox(Generic[Message]):
    """Messages to an event loop: any thread puts them, one task of the loop gets them.

    It has no reference to who reads it, so that a reader can be garbage-collected.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._messages: deque[Message] = deque()
        self._filled = asyncio.Event()
        self._is_watched = False  # the loop has been woken, or looks again soon

    def put(self, message: Message, *, is_last: bool = False) -> bool:
        """Add a message, the last one without delay; returns False if the loop is closed."""
        self._messages.append(message)
        if self._is_watched and not is_last:  # the loop looks after it has set this to False, so none is missed
            return self.can_be_read
        self._is_watched = True
        try:
            self._loop.call_soon_threadsafe(self._look)
        except RuntimeError:
            return False
        return True

    @property
    def can_be_read(self) -> bool:
        """Whether the loop is not closed."""
        return not self._loop.is_closed()

    async def get(self) -> Message:
        """Wait for the next message."""
        while not self._messages:
            self._filled.clear()
            await self._filled.wait()
        return self._messages.popleft()

    @property
    def is_empty(self) -> bool:
        """Whether no message has arrived that was not read."""
        return not self._messages

    def _look(self) -> None:
        self._is_watched = False
        if self._messages:
            self._is_watched = True
            self._filled.set()
            self._loop.call_later(PAUSE, self._look)
