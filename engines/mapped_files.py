"""Release the memory of files that a library keeps mapped.

OpenVINO maps the weights and repacks each of them at the first run, but keeps the mapping,
so the process holds every weight twice. Pages of an unmodified mapping can be dropped at any
time: the kernel reads them again if they are needed.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# How often pages are released while they are being read; about 50 MB are repacked in 50 ms.
PERIOD = 0.05  # seconds

_DONTNEED = 4  # MADV_DONTNEED
_MAPS = Path("/proc/self/maps")


@contextmanager
def given_back(files: Sequence[Path]) -> Iterator[None]:
    """Release the pages of `files` while the block reads them, so that they do not fill the process's memory.

    Does nothing on systems without `/proc/self/maps`.
    """
    if not files or not sys.platform.startswith("linux") or not _MAPS.exists():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_give_back_until, args=(done, files), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _give_back_until(done: threading.Event, files: Sequence[Path]) -> None:
    names = {os.path.realpath(file) for file in files}
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    finished = False
    while not finished:
        finished = done.wait(PERIOD)
        for start, length in _mappings(names):
            advise(start, length, _DONTNEED)


def _mappings(names: set[str]) -> Iterator[tuple[int, int]]:
    """Yield start and length of every read-only mapping of a file in `names`."""
    for line in _MAPS.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] in names and fields[1].startswith("r-"):
            start, _, end = fields[0].partition("-")
            yield int(start, 16), int(end, 16) - int(start, 16)
