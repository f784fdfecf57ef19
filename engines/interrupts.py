"""Keep Ctrl-C working around libraries that would swallow it, or crash on it."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Signals that a program may turn into an exception; only those with a Python handler are delayed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_SS_DISABLE = 2  # <signal.h>: signals are handled on the thread's usual stack


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


class _Stack(ctypes.Structure):
    """Linux's `stack_t`, see sigaltstack(2)."""

    _fields_ = (("ss_sp", ctypes.c_void_p), ("ss_flags", ctypes.c_int), ("ss_size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Give the calling thread the signal stack back that it had before the block.

    OpenVINO's CPU plugin gives the thread that loads it an alternate signal stack, and frees
    that stack with its last model. Where another thread closes the model (a server's, or the
    garbage collector's), the first thread keeps the freed stack, and the next Ctrl-C is a
    segmentation fault. Only Linux's plugin does so; elsewhere this does nothing.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    sigaltstack = ctypes.CDLL(None).sigaltstack
    before = _Stack()
    sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        if sigaltstack(ctypes.byref(before), None):  # too small now: with AMX in use, the kernel asks for more
            sigaltstack(ctypes.byref(_Stack(None, _SS_DISABLE, 0)), None)
