"""The peak memory of a process, and the free memory of the machine."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from uhd_edge.runtime.memory.machine import KILOBYTE, read_kilobytes


def peak_memory(status: Path = Path("/proc/self/status")) -> int:
    """The peak memory of this process so far, in bytes (resident set size).

    It includes Python and its libraries, the engines with their weights, and the language model
    with its context. Of a file that is mapped into memory, it includes the pages that were used,
    although other processes may share them. Memory on a GPU is not included. On Linux the number
    is `VmHWM`. Elsewhere it is `ru_maxrss`, which on Linux would start with the memory of the
    parent process.
    """
    kilobytes = read_kilobytes(status, "VmHWM")
    if kilobytes is not None:
        return kilobytes * KILOBYTE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KILOBYTE


def available_memory(status: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes of memory that programs can still use without swapping (`MemAvailable`); None if that is not known."""
    kilobytes = read_kilobytes(status, "MemAvailable")
    return None if kilobytes is None else kilobytes * KILOBYTE
