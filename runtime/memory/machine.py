"""How much memory this machine has for us, and how much of it is free."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from uhd_edge.engines.tensorrt.jetson import JetsonFiles, find_jetson
from uhd_edge.runtime.memory.measured import SYSTEM

KILOBYTE = 1024


@dataclass(frozen=True)
class MachineMemory:
    """In bytes: `usable` is what can be had once other programs are closed; `available` can be had now.

    Where memory `is_shared`, CPU and GPU have the same, and nothing that a GPU uses can be swapped.
    """

    usable: int
    available: int
    is_shared: bool = False


def usable_memory(memory: int) -> int:
    """Bytes that are left of a machine's memory when its system has started, without a desktop."""
    return max(0, memory - SYSTEM)


def memory_with(usable: int) -> int:
    """Bytes of memory that a machine has of which `usable_memory` are `usable`."""
    return usable + SYSTEM


def machine_memory(
    processes: Path = Path("/proc"),
    group: Path = Path("/sys/fs/cgroup"),
    jetson: JetsonFiles | None = None,
) -> MachineMemory | None:
    """Read what the kernel reports, within the limit of a container; None where it reports nothing.

    Swap on a disk counts as usable, except on a Jetson; compressed memory (zram) is no swap.
    `processes` is the kernel's folder, `group` that of the control group as a container sees its own (version 2).
    """
    meminfo = processes / "meminfo"
    total, available = read_kilobytes(meminfo, "MemTotal"), read_kilobytes(meminfo, "MemAvailable")
    if total is None or available is None:
        return None
    is_shared = find_jetson(jetson) is not None
    swap = 0 if is_shared else _read_disk_swap(processes / "swaps")
    usable, free = usable_memory(total * KILOBYTE) + swap, available * KILOBYTE
    limit = _read_bytes(group / "memory.max")
    if limit is not None:  # the system is outside of a container
        # Pages of files that nobody needs now are given up when memory is wanted.
        cached = _read_named(group / "memory.stat", "inactive_file") or 0
        used = max(0, (_read_bytes(group / "memory.current") or 0) - cached)
        usable, free = min(usable, limit), min(free, max(0, limit - used))
    return MachineMemory(usable, free, is_shared)


def describe_memory(processes: Path = Path("/proc"), group: Path = Path("/sys/fs/cgroup")) -> str:
    """Say how much memory can be had now, and of how much, such as `5.1 GB free of 8.0 GB`; folders as above."""
    machine, total = machine_memory(processes, group), read_kilobytes(processes / "meminfo", "MemTotal")
    if machine is None or total is None:
        return "unknown"
    limit = _read_bytes(group / "memory.max")
    of = f"{total * KILOBYTE / 1e9:.1f} GB"
    if limit is not None and limit < total * KILOBYTE:
        of = f"the {limit / 1e9:.1f} GB that this container may have, of {of}"
    return f"{machine.available / 1e9:.1f} GB free of {of}"


def read_kilobytes(file: Path, name: str) -> int | None:
    """Return the number in a line such as `VmHWM:     1234 kB`; None if there is no such line."""
    return _read_named(file, f"{name}:")


def _read_named(file: Path, name: str) -> int | None:
    """Return the number behind a word at the beginning of a line."""
    for line in _read_text(file).splitlines():
        found = line.split()
        if found[:1] == [name] and len(found) > 1 and found[1].isdigit():
            return int(found[1])
    return None


def _read_disk_swap(swaps: Path) -> int:
    """Return the bytes of swap that are not in memory themselves."""
    rows = [line.split() for line in _read_text(swaps).splitlines()[1:]]
    sizes = [row[2] for row in rows if len(row) > 2 and not Path(row[0]).name.startswith("zram")]
    return sum(int(size) for size in sizes if size.isdigit()) * KILOBYTE


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


def _read_bytes(file: Path) -> int | None:
    """Return the bytes in a file of one number; None for `max` and where there is no such file."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
