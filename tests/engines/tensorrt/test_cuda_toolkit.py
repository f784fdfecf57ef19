"""The command that compiles llama.cpp for a GPU fits the machine: its GPU, its nvcc, its memory."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from uhd_edge.engines.extras import LLAMA_CPP
from uhd_edge.engines.tensorrt.cuda_toolkit import CompilingMachine, compiling_machine, install_llama_with_cuda

ORIN_NANO = CompilingMachine("8.7", 7.96e9, 6, nvcc_on_path=False, programs=Path("/usr/local/cuda/bin"))
PIP = ["pip", "install", "--no-cache-dir", "--force-reinstall", LLAMA_CPP]


def words(machine: CompilingMachine) -> list[str]:
    return shlex.split(install_llama_with_cuda(machine).partition("install it again with ")[2])


def test_on_an_orin_of_8_gb_two_jobs_compile_for_its_gpu_with_jetpacks_nvcc() -> None:
    assert words(ORIN_NANO) == [
        "PATH=/usr/local/cuda/bin:$PATH",
        "CMAKE_ARGS=-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=87",
        "CMAKE_BUILD_PARALLEL_LEVEL=2",
        *PIP,
    ]


@pytest.mark.parametrize(
    ("machine", "settings"),
    [
        (CompilingMachine("12.0", 64e9, 16, nvcc_on_path=True, programs=None), "120"),
        (CompilingMachine(None, None, 16, nvcc_on_path=True, programs=None), ""),
    ],
)
def test_a_pc_with_memory_enough_needs_no_limit(machine: CompilingMachine, settings: str) -> None:
    architecture = f" -DCMAKE_CUDA_ARCHITECTURES={settings}" if settings else ""
    assert words(machine) == [f"CMAKE_ARGS=-DGGML_CUDA=on{architecture}", *PIP]


def test_without_nvcc_the_toolkit_comes_first() -> None:
    bare = CompilingMachine("8.7", 7.96e9, 6, nvcc_on_path=False, programs=None)
    assert install_llama_with_cuda(bare).startswith("install the CUDA toolkit, which has nvcc")


def test_nvcc_is_found_where_jetpack_puts_it_and_a_shell_then_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is given to a real shell, with a pip that says what it was given."""
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    (tmp_path / "cuda").mkdir()
    (tmp_path / "cuda" / "nvcc").write_text("")
    found = compiling_machine(tmp_path / "cuda")
    assert (found.nvcc_on_path, found.programs) == (False, tmp_path / "cuda")
    (tmp_path / "bin").mkdir()
    pip = tmp_path / "bin" / "pip"
    pip.write_text('#!/bin/sh\nprintf "%s\\n" "${PATH%%:*}" "$CMAKE_ARGS" "$@"\n')
    pip.chmod(0o755)
    line = install_llama_with_cuda(found).partition("install it again with ")[2]
    environment = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}/usr/bin:/bin"}
    done = subprocess.run(["/bin/sh", "-c", line], env=environment, capture_output=True, text=True, check=True)
    folder, options, *arguments = done.stdout.splitlines()
    assert (folder, arguments) == (str(tmp_path / "cuda"), PIP[1:])
    assert options.startswith("-DGGML_CUDA=on")
