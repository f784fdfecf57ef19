"""A report about the built-in bundle, measured on this machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.bench.small_bench import ONCE, SLICED, SMALL

from uhd_edge.bench.configuration import configurations
from uhd_edge.bench.report import BenchReport
from uhd_edge.bench.rounds import run_bench
from uhd_edge.runtime.bundles.bundle import Bundle


@pytest.fixture(scope="session")
def report() -> BenchReport:
    """Two pictures in both modes, two rounds each."""
    every = configurations([SMALL, SLICED], ["16x", "4x"], ["fp32"], ["onnxruntime"])
    return run_bench(Bundle.open(), every, replace(ONCE, rounds=2))
