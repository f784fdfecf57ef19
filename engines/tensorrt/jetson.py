"""Whether this machine is a Jetson, the one place that finds it out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class JetsonFiles:
    """The kernel's name of the board, and JetPack's release. A container may hide the first, and not the second."""

    board: Path = Path("/proc/device-tree/model")
    release: Path = Path("/etc/nv_tegra_release")


def find_jetson(files: JetsonFiles | None = None) -> str | None:
    """Return the board's name, or what JetPack says of itself; None if this is no Jetson."""
    where = files or JetsonFiles()
    model = _read(where.board).strip("\0\n")
    if "NVIDIA" in model:
        return model
    release = _read(where.release).partition("\n")[0].strip("# ")
    return f"NVIDIA Jetson, {release}" if release else None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
