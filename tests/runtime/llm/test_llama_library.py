"""How llama.cpp's library is loaded: whether weights are repacked, and how its threads wait."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from uhd_edge.runtime.llm.llama_library import weights_may_be_repacked

if TYPE_CHECKING:
    from pathlib import Path


def test_weights_are_not_repacked_on_a_processor_with_amx(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags\t\t: fpu avx2 amx_tile amx_int8\n")
    assert not weights_may_be_repacked(cpuinfo)
    cpuinfo.write_text("Features\t: fp asimd asimddp i8mm\n")
    assert weights_may_be_repacked(cpuinfo)
    assert weights_may_be_repacked(tmp_path / "absent")


def openmp_settings(**chosen: str) -> str:
    """What OpenMP's runtime says of itself while llama.cpp loads, if it is one that does; nothing else may change."""
    code = (
        "import os, sys\n"
        "from uhd_edge.runtime.llm.llama_library import llama_library\n"
        "before = dict(os.environ)\n"
        "def tell(event, arguments):\n"
        "    if event == 'import' and arguments[0] == 'llama_cpp':\n"
        "        print('loading with', os.environ.get('OMP_WAIT_POLICY'), file=sys.stderr)\n"
        "sys.addaudithook(tell)\n"
        "llama_library()\n"
        "assert dict(os.environ) == before"
    )
    clean = {name: value for name, value in os.environ.items() if name not in {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}}
    environment = clean | {"OMP_DISPLAY_ENV": "verbose"} | chosen
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("llama.cpp was not built with GCC's OpenMP")
    return done.stderr


def test_waiting_threads_spin_for_a_little_and_then_sleep() -> None:
    settings = openmp_settings()
    assert re.search(r"GOMP_SPINCOUNT = '10?000'", settings)
    assert "loading with passive" in settings, "LLVM's OpenMP reads the policy and no count"


def test_how_threads_wait_is_left_to_the_user_who_says_it() -> None:
    settings = openmp_settings(GOMP_SPINCOUNT="300000")
    assert "GOMP_SPINCOUNT = '300000'" in settings
    assert "loading with None" in settings
    assert "GOMP_SPINCOUNT = '0'" in openmp_settings(OMP_WAIT_POLICY="passive")
