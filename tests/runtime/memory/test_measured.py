"""What is predicted is what a process then takes: uhd-tiny, whose weights are next to nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.places import EXAMPLES

from uhd_edge.engines.building.targets import find_target
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.checking.building import engine_orders
from uhd_edge.runtime.memory.building import build_need
from uhd_edge.runtime.memory.running import RunSettings, cpu_need

if TYPE_CHECKING:
    from pathlib import Path

NEAR = 0.2  # of 0.1 to 0.5 GB; other releases of the libraries are a little larger or smaller


RUN = """
import sys
from uhd_edge.cli.main import exit_code
code = exit_code(sys.argv[1:])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def peak_of_uhd(*arguments: str) -> int:
    """Run `uhd` and return the most bytes that were resident. What `wait4` says would be our own where it is more."""
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1]) * 1024


def test_a_build_takes_what_is_predicted(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for x86-64 alone")
    bundle = Bundle.open(shutil.copytree(Bundle.open().path, tmp_path / "bundle"))
    need = build_need(
        bundle, engine_orders(bundle, modes=["16x", "4x"], precision="fp16"), find_target("rtx-40"), is_shared=False
    )
    measured = peak_of_uhd("build", str(bundle.path), "--target", "rtx-40")
    assert need.total == pytest.approx(measured, rel=NEAR)


def test_a_question_takes_what_is_predicted() -> None:
    need = cpu_need(Bundle.open(), RunSettings(("16x",), max_slices=1), "fp32")
    exactly = ("--precision", "fp32", "--engine", "onnxruntime", "--max-slices", "1")
    assert need.total == pytest.approx(peak_of_uhd("ask", str(EXAMPLES / "bench.png"), "Hi", *exactly), rel=NEAR)
