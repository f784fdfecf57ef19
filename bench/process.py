"""Starts a process that measures, and talks to it."""

from __future__ import annotations

import multiprocessing
import signal
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from uhd_edge.bench.errors import BenchError
from uhd_edge.bench.worker import Sample, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from uhd_edge.bench.configuration import Configuration, Settings

PATIENCE = 10.0  # seconds to wait for a process to close its engines


class MeasuringProcess:
    """A new process with the engine and precision of `first`. It shares no memory with its parent. Close it."""

    def __init__(self, bundle: Path, first: Configuration, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._first = first
        self._process = context.Process(target=serve, args=(theirs, bundle, first, settings), daemon=True)
        with _without_interrupts():
            self._process.start()
        theirs.close()  # or the end of the process would not be noticed

    def measure(self, configuration: Configuration) -> Sample:
        """Run `configuration` once; raises its `UhdError` if it fails, or `BenchError` if the process ends."""
        try:
            self._connection.send(configuration)
            answer: Sample | Exception = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended(configuration) from error
        if isinstance(answer, Sample):
            return answer
        raise answer

    def close(self) -> None:
        """End the process. Safe to call twice."""
        with suppress(OSError):  # it has ended already, or close was called before
            self._connection.send(None)
        self._connection.close()
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> MeasuringProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._process.kill()  # do not wait for what it is doing
        self.close()

    def _ended(self, configuration: Configuration) -> BenchError:
        self._process.join()
        code = self._process.exitcode or 0
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        killed = "; the system probably ran out of memory, so measure less at once" if code == -9 else ""
        return BenchError(
            f"the process that measured {configuration.picture.name} {configuration.mode} in "
            f"{configuration.precision} on {configuration.engine} {how}{killed}"
        )


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Make a process that is started here ignore Ctrl-C, which would print a traceback while it still imports."""
    resource_tracker.ensure_running()  # or the first process would start it, and that removes the signal mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
