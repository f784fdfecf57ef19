"""libtiff's own messages, which it writes to standard error, line after line for a damaged file."""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import _imaging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def silent_libtiff() -> Iterator[None]:
    """Let libtiff keep its messages to itself; Pillow raises an error all the same.

    Its handler of errors is one pointer for the whole process, and is put back at the end. No file
    descriptor is touched, so other threads go on writing to standard error. May be entered in one
    thread at a time. Where libtiff's functions cannot be reached, as in Pillow's wheels for
    Windows, its messages appear.
    """
    set_handler = _handler_setter()
    if set_handler is None:
        yield
        return
    before = set_handler(None)
    try:
        yield
    finally:
        set_handler(before)


@cache
def _handler_setter() -> Callable[[int | None], int | None] | None:
    """The function `TIFFSetErrorHandler`, which returns the handler before, as an address.

    It is looked for from Pillow's own extension, which finds the very libtiff that Pillow uses.
    """
    try:
        library: Any = ctypes.CDLL(_imaging.__file__)
        setter = library.TIFFSetErrorHandler
    except (AttributeError, OSError, TypeError):
        return None
    setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
    return setter  # type: ignore[no-any-return]
