"""Whether a machine has the memory that is predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import EngineBuildError
from uhd_edge.runtime.memory.need import gigabytes

if TYPE_CHECKING:
    from uhd_edge.runtime.memory.machine import MachineMemory
    from uhd_edge.runtime.memory.need import MemoryNeed


def require_memory(need: MemoryNeed, machine: MachineMemory | None, what: str, *, ignore: bool) -> str | None:
    """Raise `EngineBuildError` when a machine can never have what `what` needs, and warn when it has not now.

    Returns the warning, None where there is enough or nothing is known of the machine. With `ignore`,
    the error is a warning too.
    """
    if machine is None or need.total <= machine.available:
        return None
    has = f"{what} takes about {need.describe()}, and this machine has"
    advice = "a smaller --largest-view and --precision int8 take less"
    if need.total <= machine.total or ignore:
        return f"{has} {gigabytes(machine.available)} free: close other programs, or it swaps or is ended; {advice}"
    raise EngineBuildError(f"{has} {gigabytes(machine.total)} with swap; {advice}; --ignore-memory builds all the same")
