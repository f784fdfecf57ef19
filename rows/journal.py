"""A file that lines are appended to, and that outlives whatever stops the program.

A line is handed to the system as soon as it is there, so that a program that is killed loses none, and written to the
disk every few seconds, so that a power failure loses little. A line that was not written to its end is dropped when
the file is opened again.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from uhd_edge.rows.errors import ResultsError
from uhd_edge.runtime.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS_BETWEEN_SYNCS = 5.0


class Journal:
    """Such a file, open for appending by this process alone; close it, or use it with `with`.

    `size` is its length in bytes. Raises `ResultsError` when another process is writing to it, and `OutputError` when
    it cannot be written.
    """

    size: int

    def __init__(self, file: Path) -> None:
        self.file = file
        with self._writing():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        self._synced = time.monotonic()
        try:
            self._lock()
            with self._writing():
                self._drop_half_line()
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, line: bytes) -> None:
        """Write a line, which ends in a line break.

        Raises `OutputError` when the disk is full, and leaves the lines before it as they are.
        """
        with self._writing():
            self._append(line)
            if time.monotonic() - self._synced > SECONDS_BETWEEN_SYNCS:
                self._sync()

    def lines(self) -> Iterator[bytes]:
        """Read the lines from the beginning; every one ends in a line break."""
        with self.file.open("rb") as stream:
            yield from stream

    def cut(self, size: int) -> None:
        """Drop everything behind the first `size` bytes; raises `OutputError`."""
        with self._writing():
            os.ftruncate(self._descriptor, size)
            self.size = size

    def sync(self) -> None:
        """Write everything to the disk; raises `OutputError`."""
        with self._writing():
            self._sync()

    def close(self) -> None:
        """Write everything to the disk. Safe to call twice."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(OSError):  # the lines are with the system already
                os.fsync(descriptor)
            os.close(descriptor)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, line: bytes) -> None:
        done = 0
        try:
            while done < len(line):
                done += os.pwrite(self._descriptor, line[done:], self.size + done)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(line)

    def _sync(self) -> None:
        os.fsync(self._descriptor)
        self._synced = time.monotonic()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResultsError(f"{self.file}: another run is writing to it; wait for it, or stop it") from error

    def _drop_half_line(self) -> None:
        """Cut the file behind its last whole line."""
        self.size = sum(len(line) if line.endswith(b"\n") else 0 for line in self.lines())
        os.ftruncate(self._descriptor, self.size)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{error.filename or self.file}: cannot be written ({error.strerror}); what is answered is kept, and "
                "the same command goes on from there"
            ) from error
