"""How much memory a process has taken, and how much there is."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

KILOBYTE = 1024


def peak_memory(status: Path = Path("/proc/self/status")) -> int:
    """Most bytes of memory that this process has had at once (resident set).

    That is everything in it: Python and its libraries, the engines with their weights, the
    language model with its context, and of a file that is mapped instead of read those
    pages that were touched, although other processes may share them. Memory on a GPU is not
    in it. Linux keeps the number by the name of `VmHWM`; elsewhere it is `ru_maxrss`, which
    Linux would begin with what the parent had when it started this process.
    """
    kilobytes = _field(status, "VmHWM")
    if kilobytes is not None:
        return kilobytes * KILOBYTE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KILOBYTE


def available_memory(status: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that programs can still have without anything being swapped out; None where Linux does not say so."""
    kilobytes = _field(status, "MemAvailable")
    return None if kilobytes is None else kilobytes * KILOBYTE


def _field(file: Path, name: str) -> int | None:
    """Read a line such as `VmHWM:     1234 kB`."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(":")
        number = value.split()[:1]
        if key == name and number and number[0].isdigit():
            return int(number[0])
    return None
