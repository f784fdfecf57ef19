"""Ctrl-C after OpenVINO: it must not meet a signal stack that OpenVINO has freed."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("openvino")

CLOSED_BY_ANOTHER_THREAD = """
import signal, threading
from uhd_edge.engines.openvino import OpenVinoEngine
from uhd_edge.runtime.bundles.bundle import Bundle
signal.signal(signal.SIGINT, signal.default_int_handler)
engine = OpenVinoEngine(Bundle.open().graphs("16x", "fp32")[0], threads=1)
closing = threading.Thread(target=engine.close)
closing.start()
closing.join()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""

OVERFLOWING = """
import faulthandler, sys
faulthandler.enable()
from uhd_edge.engines.openvino import OpenVinoEngine
from uhd_edge.runtime.bundles.bundle import Bundle
OpenVinoEngine(Bundle.open().graphs("16x", "fp32")[0], threads=1).close()
faulthandler._stack_overflow()
"""


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_an_interrupt_after_another_thread_closed_the_engine_is_an_interrupt() -> None:
    done = python(CLOSED_BY_ANOTHER_THREAD)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the plugin takes the signal stack on Linux alone")
def test_the_signal_stack_of_before_is_used_again() -> None:
    """Python's fault handler needs its own to report that the usual stack has overflowed."""
    done = python(OVERFLOWING)
    assert "Fatal Python error: Segmentation fault" in done.stderr
