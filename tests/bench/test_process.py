"""Every engine is measured in a process of its own, whose errors are raised here."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from support.bench.small_bench import ONCE, SMALL

from uhd_edge.bench.configuration import Configuration, Picture, Settings
from uhd_edge.bench.errors import BenchError
from uhd_edge.bench.process import MeasuringProcess
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import ContextError, ImageError, UhdError


def with_picture(data: bytes) -> Configuration:
    return Configuration(Picture(1, 1, data), "16x", "auto", "auto")


@pytest.mark.parametrize(
    ("configuration", "settings", "error"),
    [
        (with_picture(b"no picture"), ONCE, ImageError),
        (with_picture(SMALL.data), replace(ONCE, context=8), ContextError),
        (replace(with_picture(SMALL.data), precision="int8"), ONCE, UhdError),
    ],
)
def test_an_error_of_the_process_is_raised_here(
    configuration: Configuration, settings: Settings, error: type[UhdError]
) -> None:
    with (
        MeasuringProcess(Bundle.open().path, configuration, settings) as process,
        pytest.raises(error),
    ):
        process.measure(configuration)


def test_a_process_that_is_killed_is_an_error_that_says_so() -> None:
    configuration = with_picture(SMALL.data)
    with MeasuringProcess(Bundle.open().path, configuration, ONCE) as process:
        (child,) = multiprocessing.active_children()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(BenchError, match="was ended by signal 9; the system probably ran out of memory"):
            process.measure(configuration)


def test_no_process_is_left_behind() -> None:
    configuration = with_picture(SMALL.data)
    with pytest.raises(KeyboardInterrupt), MeasuringProcess(Bundle.open().path, configuration, ONCE):
        raise KeyboardInterrupt
    assert not multiprocessing.active_children()


def test_a_process_ignores_interrupts_from_its_start_and_its_parent_does_not() -> None:
    """It would print a traceback where the interrupt finds it importing."""
    with MeasuringProcess(Bundle.open().path, with_picture(SMALL.data), ONCE) as process:
        (child,) = multiprocessing.active_children()
        assert signal.SIGINT in blocked_signals(Path(f"/proc/{child.pid}/status"))
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        process.measure(with_picture(SMALL.data))
        assert signal.SIGINT in blocked_signals(Path(f"/proc/{child.pid}/status"))


def blocked_signals(status: Path) -> set[int]:
    (mask,) = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigBlk:")]
    return {number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1}
