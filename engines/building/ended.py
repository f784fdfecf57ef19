"""What it most likely means that a builder was ended by a signal, and how a later one finds out."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from uhd_edge.engines.building.engine_record import ENGINE_SUFFIX

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.engines.unfinished import Tell

PARTIAL = ".partial"  # what an engine's file ends with until it is complete

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


def tell_killed(folder: Path, tell: Tell) -> None:
    """Say at which engine a build was ended, and remove what it left; the folder is locked, so none is built now."""
    for partial in sorted(folder.glob(f".*{ENGINE_SUFFIX}{PARTIAL}")):
        name = partial.name.removeprefix(".").removesuffix(f"{ENGINE_SUFFIX}{PARTIAL}")
        partial.unlink(missing_ok=True)
        tell(
            f"removed {partial}, left by a run that was killed: the last build of {name} was ended before it was done; "
            "if nobody stopped it, then most likely for lack of memory: close other programs, or build with a smaller "
            "--largest-view or fewer --modes"
        )
