"""Messages from a thread to an event loop: all of them, in order, and few wake-ups."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime.conversation.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = 1000


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts how often another thread wakes it."""

    wakeups = 0

    def call_soon_threadsafe(self, callback: Callable[..., object], *arguments: Any, context: Any = None) -> Any:
        """Count, and do what the loop does."""
        self.wakeups += 1
        return super().call_soon_threadsafe(callback, *arguments, context=context)


def run(loop: asyncio.AbstractEventLoop, work: Any) -> Any:
    """Run a coroutine in the loop, and close the loop."""
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def in_a_thread(work: Callable[[], None]) -> None:
    """Do some work in another thread, and wait for its end."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def put_many(mailbox: Mailbox[int]) -> None:
    """Put the numbers up to `MANY`, and -1 as the last message."""
    for number in range(MANY):
        mailbox.put(number)
    mailbox.put(-1, is_last=True)


async def read_all(mailbox: Mailbox[int]) -> list[int]:
    """Read up to the last message."""
    messages = [await mailbox.get()]
    while messages[-1] != -1:
        messages.append(await mailbox.get())
    return messages


def test_messages_of_a_thread_arrive_in_order_while_they_are_read() -> None:
    loop = asyncio.new_event_loop()
    mailbox: Mailbox[int] = Mailbox(loop)
    thread = threading.Thread(target=put_many, args=(mailbox,))
    thread.start()
    assert run(loop, read_all(mailbox)) == [*range(MANY), -1]
    thread.join()
    assert mailbox.is_empty


def test_the_loop_is_woken_for_the_first_message_and_for_the_last() -> None:
    loop = CountingLoop()
    mailbox: Mailbox[int] = Mailbox(loop)
    in_a_thread(lambda: put_many(mailbox))
    assert run(loop, read_all(mailbox)) == [*range(MANY), -1]
    assert loop.wakeups == 2


def test_a_message_after_a_long_pause_is_read_too() -> None:
    async def read_three(mailbox: Mailbox[int], loop: CountingLoop) -> list[int]:
        messages = []
        for number in range(3):
            in_a_thread(lambda number=number: mailbox.put(number))  # type: ignore[misc]
            messages.append(await mailbox.get())
            while mailbox._is_watched:  # until the loop has looked once more in vain
                await asyncio.sleep(0)
        assert loop.wakeups == 3
        return messages

    loop = CountingLoop()
    assert run(loop, read_three(Mailbox(loop), loop)) == [0, 1, 2]


def test_a_message_to_a_closed_loop_is_refused() -> None:
    loop = asyncio.new_event_loop()
    mailbox: Mailbox[int] = Mailbox(loop)
    assert mailbox.can_be_read
    loop.close()
    assert not mailbox.put(1)
    assert not mailbox.put(2, is_last=True)
    assert not mailbox.can_be_read
