"""Keep Ctrl-C working around libraries that would swallow it."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Signals that a program may turn into an exception; only those with a Python handler are delayed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_interrupts() -> Iterator[list[int]]:
    """Delay signals that arrive inside the block until its end, where an exception can propagate.

    When a native library calls back into Python, Python may handle a signal in the callback,
    and ctypes drops the resulting exception. Only the main thread handles signals, so in
    other threads this does nothing. Yields a list to which the numbers of arriving signals
    are appended, so that the block can stop early.
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return
    handlers = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    for number in handlers:
        signal.signal(number, lambda number, _frame: arrived.append(number))
    try:
        yield arrived
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in arrived:
            handlers[signal.Signals(late)](late, None)


def raise_interrupt_behind(error: BaseException) -> None:
    """Raise `KeyboardInterrupt` if one caused `error`.

    Native modules turn anything that interrupts their import into an `ImportError`.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        cause = cause.__cause__ or cause.__context__
