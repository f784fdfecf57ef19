"""Memory is what the kernel reports for this process alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from uhd_edge.bench.memory import available_memory, peak_memory


def test_peak_memory_is_that_of_the_process_and_not_of_its_parent() -> None:
    """A child of a process that has had 300 MB begins at its own few."""
    ballast = b"x" * 300_000_000
    assert peak_memory() > len(ballast)
    script = "from uhd_edge.bench.memory import peak_memory; print(peak_memory())"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert 5e6 < int(printed) < 150e6


def test_memory_is_read_from_what_the_kernel_says(tmp_path: Path) -> None:
    file = tmp_path / "status"
    file.write_text("VmPeak:\t 9 kB\nVmHWM:\t   1234 kB\nMemAvailable:    77 kB\nHuge:\n")
    assert peak_memory(file) == 1234 * 1024
    assert available_memory(file) == 77 * 1024
    assert available_memory(tmp_path / "none") is None
    assert peak_memory(tmp_path / "none") > 1e6
