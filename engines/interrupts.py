"""Ctrl-C that gets through libraries which would swallow it."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a program may turn into an exception; only those with a handler in Python are held.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_interrupts() -> Iterator[list[int]]:
    """Let signals that arrive inside take effect at the end, where an exception gets through.

    A native library that calls back into Python gives Python the occasion to handle a
    signal there, and ctypes drops the exception that comes of it. Signals are handled in
    the main thread alone, so in others there is nothing to hold. Yields the numbers of the
    signals that have arrived, for what can end its work early.
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
    """Raise the `KeyboardInterrupt` that `error` came of, if it did.

    Native modules make an `ImportError` of whatever interrupts their import.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        cause = cause.__cause__ or cause.__context__
