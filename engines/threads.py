"""How many cores this process may use, respecting containers and `taskset`.

More threads than usable cores are many times slower, so these limits matter.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath


def usable_cores(*, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Count the cores the process may run on: its CPU affinity, limited by its cgroup quota.

    Quotas are rounded up: 1.5 cores give 2. Always at least 1.
    `proc` and `groups` are the mount points of `/proc` and of the control groups.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota) for quota in _quotas(proc, groups)]
    return max(1, min([allowed, *quotas]))


def _quotas(proc: Path, groups: Path) -> Iterator[float]:
    """Yield every quota on this process, in cores; those of parent groups apply too."""
    for line in _lines(proc / "self" / "cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers == "":  # version 2: one tree for everything
            yield from _quotas_upwards(groups, group, _quota_v2)
        elif "cpu" in controllers.split(","):
            yield from _quotas_upwards(groups / "cpu", group, _quota_v1)


def _quotas_upwards(root: Path, group: str, read: Callable[[Path], float | None]) -> Iterator[float]:
    path = PurePosixPath(group.lstrip("/"))
    # Inside a container the named group may not be visible; its files are then at the root.
    for level in (path, *path.parents):
        quota = read(root / level)
        if quota is not None:
            yield quota


def _quota_v2(folder: Path) -> float | None:
    """Read `cpu.max`, such as `max 100000` or `150000 100000`: quota and period in microseconds."""
    for line in _lines(folder / "cpu.max"):
        quota, _, period = line.partition(" ")
        return _ratio(quota, period)
    return None


def _quota_v1(folder: Path) -> float | None:
    quota, period = (next(iter(_lines(folder / f"cpu.cfs_{name}_us")), "") for name in ("quota", "period"))
    return _ratio(quota, period)


def _ratio(quota: str, period: str) -> float | None:
    """Return the quota in cores, or None for no quota (`max`, -1) or unexpected content."""
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
