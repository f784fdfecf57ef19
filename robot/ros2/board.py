"""What the board tells about itself: memory, temperature, power."""

from __future__ import annotations

import resource
from pathlib import Path

SYS = Path("/sys")


def memory_mb() -> float:
    """Megabytes that this process has in memory now; the most there were, where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 1e6


def temperatures(root: Path = SYS) -> dict[str, float]:
    """Degrees Celsius of each thermal zone that tells, by its type, such as "gpu-thermal"."""
    found = {}
    for zone in sorted(root.glob("class/thermal/thermal_zone*")):
        name, milli = _text(zone / "type"), _number(zone / "temp")
        if name and milli is not None and -40_000 < milli < 200_000:  # a zone that is off says -256 degrees
            found[name] = milli / 1000
    return found


def power_watts(root: Path = SYS) -> dict[str, float]:
    """Watts of each rail of the power monitors (INA3221) of a Jetson, by its label, such as "VDD_IN"."""
    found = {}
    for monitor in sorted(root.glob("class/hwmon/hwmon*")):
        if _text(monitor / "name") != "ina3221":
            continue
        for label in sorted(monitor.glob("in*_label")):
            rail = label.name.removeprefix("in").removesuffix("_label")
            millivolts, milliamperes = _number(monitor / f"in{rail}_input"), _number(monitor / f"curr{rail}_input")
            if millivolts is not None and milliamperes is not None:
                found[_text(label)] = millivolts * milliamperes / 1e6
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> float | None:
    try:
        return float(_text(file))
    except ValueError:
        return None
