"""The machine that numbers were measured on. Without it they mean nothing."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from uhd_edge.engines.processor import processor_name
from uhd_edge.engines.threads import usable_cores
from uhd_edge.runtime.release import version_of

PACKAGES = (
    "uhd-edge",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-rtx",
    "llama-cpp-python",
    "numpy",
    "pillow",
)


@dataclass(frozen=True)
class Machine:
    """A machine: its processor, cores, usable cores, bytes of memory, system, and the versions of packages."""

    processor: str
    usable_cores: int
    cores: int
    memory: int | None
    system: str
    python: str
    packages: dict[str, str]

    @property
    def line(self) -> str:
        """One line for a table, without the versions."""
        memory = "" if self.memory is None else f", {self.memory / 1e9:.0f} GB of memory"
        return f"{self.processor}, {self.usable_cores} of {self.cores} cores{memory}, {self.system}"


def this_machine() -> Machine:
    """Describe the machine that this runs on."""
    return Machine(
        processor=processor_name(),
        usable_cores=usable_cores(),
        cores=os.cpu_count() or 1,
        memory=_memory(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: version for name in PACKAGES if (version := version_of(name))},
    )


def _memory() -> int | None:
    known = getattr(os, "sysconf_names", {})  # not on Windows
    if "SC_PHYS_PAGES" not in known:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
