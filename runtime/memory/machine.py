"""How much memory this machine has, and how much of it is free."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KILOBYTE = 1024


@dataclass(frozen=True)
class MachineMemory:
    """In bytes: `total` is all there is, with swap; `available` can be had without swapping."""

    total: int
    available: int


def machine_memory(meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> MachineMemory | None:
    """Read what the kernel reports, within the limit of a container; None where it reports nothing.

    `group` is the folder of the control group as a container sees its own (version 2).
    """
    total, available = read_kilobytes(meminfo, "MemTotal"), read_kilobytes(meminfo, "MemAvailable")
    if total is None or available is None:
        return None
    machine = MachineMemory((total + (read_kilobytes(meminfo, "SwapTotal") or 0)) * KILOBYTE, available * KILOBYTE)
    limit = _read_bytes(group / "memory.max")
    if limit is None:
        return machine
    used = _read_bytes(group / "memory.current") or 0
    return MachineMemory(min(machine.total, limit), min(machine.available, max(0, limit - used)))


def read_kilobytes(file: Path, name: str) -> int | None:
    """Return the number in a line such as `VmHWM:     1234 kB`; None if there is no such line."""
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


def _read_bytes(file: Path) -> int | None:
    """Return the bytes in a file of one number; None for `max` and where there is no such file."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
