"""The parent's side of a process that measures."""

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

PATIENCE = 10.0  # seconds that a process gets to close its engines


class MeasuringProcess:
    """A fresh process with the engine and precision of `first`, and nothing of its parent's memory; close it."""

    def __init__(self, bundle: Path, first: Configuration, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._first = first
        self._process = context.Process(target=serve, args=(theirs, bundle, first, settings), daemon=True)
        with _without_interrupts():
            self._process.start()
        theirs.close()  # so that its end is noticed

    def measure(self, configuration: Configuration) -> Sample:
        """Run `configuration` once; raises the `UhdError` it failed with, or `BenchError` when the process ended."""
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
            self._process.kill()  # whatever it is in the middle of, nobody waits for it
        self.close()

    def _ended(self, configuration: Configuration) -> BenchError:
        self._process.join()
        code = self._process.exitcode or 0
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        killed = "; the system ends processes so when memory runs out, so measure less at once" if code == -9 else ""
        return BenchError(
            f"the process that measured {configuration.picture.name} {configuration.mode} in "
            f"{configuration.precision} on {configuration.engine} {how}{killed}"
        )


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let a process that begins here ignore Ctrl-C: it would print a traceback while it still imports."""
    resource_tracker.ensure_running()  # begun by the first process otherwise, and it takes the mask away
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
