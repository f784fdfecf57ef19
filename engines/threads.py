"""How many cores this process may really use: a board's cores, less what it was denied.

More threads than cores is many times slower, not a little, so containers and `taskset`
must be believed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath


def usable_cores(*, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores the process may run on: its CPU affinity, cut down to its control group's quota.

    A quota of 1.5 cores gives 2: threads then share the half. Always at least 1.
    `proc` and `groups` are where the kernel's files are mounted.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota) for quota in _quotas(proc, groups)]
    return max(1, min([allowed, *quotas]))


def _quotas(proc: Path, groups: Path) -> Iterator[float]:
    """Every quota over this process, in cores: a parent group's binds as much as its own."""
    for line in _lines(proc / "self" / "cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers == "":  # version 2: one tree for everything
            yield from _quotas_upwards(groups, group, _quota_v2)
        elif "cpu" in controllers.split(","):
            yield from _quotas_upwards(groups / "cpu", group, _quota_v1)


def _quotas_upwards(root: Path, group: str, read: Callable[[Path], float | None]) -> Iterator[float]:
    path = PurePosixPath(group.lstrip("/"))
    # Inside a container the named group may not be visible, and its files then lie at the root.
    for level in (path, *path.parents):
        quota = read(root / level)
        if quota is not None:
            yield quota


def _quota_v2(folder: Path) -> float | None:
    """`cpu.max` holds `max 100000` or `150000 100000`: microseconds per period."""
    for line in _lines(folder / "cpu.max"):
        quota, _, period = line.partition(" ")
        return _ratio(quota, period)
    return None


def _quota_v1(folder: Path) -> float | None:
    quota, period = (next(iter(_lines(folder / f"cpu.cfs_{name}_us")), "") for name in ("quota", "period"))
    return _ratio(quota, period)


def _ratio(quota: str, period: str) -> float | None:
    """Cores, or None where there is no quota (`max`, -1) or the file holds something else."""
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
