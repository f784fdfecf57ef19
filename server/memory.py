"""Memory that a server has used goes back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# glibc's number for the least size of a block that is mapped by itself, and unmapped when it is freed.
M_MMAP_THRESHOLD = -3
LARGE = 512 * 1024


def give_large_blocks_back() -> None:
    """Let the C library, where it is glibc, give every large block back as soon as it is freed; for the whole process.

    By itself it takes the first large block that is freed as a sign that more will come and
    keeps blocks of that size, up to 32 MB each, in pools that only grow: with pictures of
    many sizes a server would grow by a tenth in its first two hundred requests.
    """
    with suppress(OSError, AttributeError, TypeError):  # another C library has no such setting
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
