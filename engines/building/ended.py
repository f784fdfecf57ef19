"""What it most likely means that a builder was ended by a signal."""

from __future__ import annotations

import signal

_MEANINGS = {
    signal.SIGINT: "somebody interrupted it",
    signal.SIGTERM: "somebody or the system stopped it",
    signal.SIGHUP: "its terminal was closed",
    signal.SIGKILL: (
        "most likely for lack of memory: close other programs, such as the desktop, or build with a smaller "
        "--largest-view or fewer --modes"
    ),
    signal.SIGSEGV: "it crashed, which is a fault of TensorRT or the driver: build again, and report it if it stays",
    signal.SIGBUS: "most likely a file that it had mapped could not be read: check the disk and its free space",
    signal.SIGABRT: "it gave up by itself: the last lines that it wrote say why, often a lack of memory",
    signal.SIGILL: "it used an instruction that this processor lacks: it was built for another one",
    signal.SIGFPE: "it crashed in a calculation, which is a fault of TensorRT: build again, and report it if it stays",
}


def describe_signal(number: int) -> str:
    """Return in words that a process was ended by signal `number`, and what that most likely means."""
    try:
        known = signal.Signals(number)
    except ValueError:
        return f"was ended by signal {number}"
    meaning = _MEANINGS.get(known)
    return f"was ended by signal {number} ({known.name})" + (f", {meaning}" if meaning else "")
