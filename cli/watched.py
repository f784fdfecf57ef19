"""`uhd build` runs in a process of its own, so that somebody is left to say why it was ended.

A builder takes most of the memory, and is what the kernel kills first; TensorRT may also crash. Neither leaves the
process a word. The process that stays has imported nothing, waits, and passes the exit code on.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def is_watched(arguments: Sequence[str]) -> bool:
    """Whether `arguments` of `uhd` run in a process of their own."""
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    return command == "build" and sys.platform == "linux"


def watch() -> None:
    """Go on in a new process; the old one ends with its exit code, or says which signal ended it and ends with 1.

    Ctrl-C reaches both, and the old one waits for what the new one does about it. SIGTERM is passed on.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    process = os.fork()
    if process == 0:
        _end_with_parent()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(process, number))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        sys.exit(code)
    from uhd_edge.engines.building.ended import describe_signal

    sys.stderr.write(f"uhd: the build {describe_signal(-code)}; engines that were finished before are kept\n")
    sys.exit(1)


def _end_with_parent() -> None:
    """Have the kernel end this process where the one that waits for it is killed."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
