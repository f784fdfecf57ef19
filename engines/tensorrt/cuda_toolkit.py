"""How llama.cpp is compiled with CUDA on this machine: for which GPU, with which nvcc, in how many jobs."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from uhd_edge.engines.errors import EngineUnavailableError
from uhd_edge.engines.extras import LLAMA_CPP
from uhd_edge.engines.tensorrt.gpu import first_gpu
from uhd_edge.engines.threads import usable_cores

# JetPack and NVIDIA's packages put it there, and not on the PATH.
CUDA_PROGRAMS = Path("/usr/local/cuda/bin")
# Two jobs on a board of 8 GB.
BYTES_FOR_A_JOB = 3.5e9


@dataclass(frozen=True)
class CompilingMachine:
    """What compiling depends on; `capability` is the GPU's, such as "8.7", `memory` in bytes, None is unknown.

    `programs` is the folder of nvcc if that is not on the PATH, and None without any nvcc.
    """

    capability: str | None
    memory: float | None
    cores: int
    nvcc_on_path: bool
    programs: Path | None


def compiling_machine(programs: Path = CUDA_PROGRAMS) -> CompilingMachine:
    """Look at this machine; `programs` is where nvcc may be beside the PATH."""
    try:
        capability = first_gpu().compute_capability
    except EngineUnavailableError:
        capability = None
    found = programs if (programs / "nvcc").is_file() else None
    return CompilingMachine(capability, _memory(), usable_cores(), shutil.which("nvcc") is not None, found)


def install_llama_with_cuda(machine: CompilingMachine | None = None) -> str:
    """Return how llama.cpp is compiled with CUDA on `machine`, this one without; one line that fits into a message."""
    here = machine or compiling_machine()
    words = []
    if not here.nvcc_on_path:
        words.append(f"PATH={here.programs or CUDA_PROGRAMS}:$PATH")
    architecture = f" -DCMAKE_CUDA_ARCHITECTURES={here.capability.replace('.', '')}" if here.capability else ""
    words.append(f'CMAKE_ARGS="-DGGML_CUDA=on{architecture}"')
    jobs = here.cores if here.memory is None else max(1, int(here.memory // BYTES_FOR_A_JOB))
    if jobs < here.cores:
        words.append(f"CMAKE_BUILD_PARALLEL_LEVEL={jobs}")
    line = f'install it again with {" ".join(words)} pip install --no-cache-dir --force-reinstall "{LLAMA_CPP}"'
    if here.nvcc_on_path or here.programs is not None:
        return line
    return f"install the CUDA toolkit, which has nvcc (on a Jetson: apt install nvidia-jetpack), then {line}"


def _memory() -> float | None:
    known = getattr(os, "sysconf_names", {})  # not on Windows
    return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in known else None
