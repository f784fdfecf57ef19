"""Whether a machine has the memory that is predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import EngineBuildError
from uhd_edge.runtime.memory.need import gigabytes

if TYPE_CHECKING:
    from uhd_edge.runtime.memory.machine import MachineMemory
    from uhd_edge.runtime.memory.need import MemoryNeed


def fits(need: MemoryNeed, usable: int) -> bool:
    """Whether `usable` bytes are enough for `need` and the error that a prediction may have.

    The one rule: `uhd plan` takes what it is told, `uhd build` this machine's, and a kit's script the device's.
    """
    return need.with_margin <= usable


def require_memory(need: MemoryNeed, machine: MachineMemory | None, what: str, *, ignore: bool) -> str | None:
    """Raise `EngineBuildError` when a machine can never have what `what` needs, and warn when it has not now.

    Returns the warning, None where there is enough or nothing is known of the machine. With `ignore`,
    the error is a warning too.
    """
    if machine is None or fits(need, machine.available):
        return None
    takes = f"{what} takes about {need.describe()}, {gigabytes(need.with_margin)} with a margin"
    advice = "a smaller --largest-view and --precision int8 take less"
    if fits(need, machine.usable):
        short = "or it is ended" if machine.is_shared else "or it swaps or is ended"
        return f"{takes}, and {gigabytes(machine.available)} are free now: close other programs, {short}; {advice}"
    without = "its system and without swap, which a GPU cannot use" if machine.is_shared else "its system"
    has = f"{takes}, and this machine has {gigabytes(machine.usable)} without {without}; {advice}"
    if ignore:
        return has
    raise EngineBuildError(f"{has}; --ignore-memory builds all the same")
