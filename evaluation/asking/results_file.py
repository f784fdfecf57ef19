"""The file that the answers of one setting are appended to, and that a stopped run goes on with.

The first line says what was asked of what: the checksums of data and bundle, the setting, and how it was asked. The
file's name has a part of that line's checksum, so answers to anything else are in another file.

A row is handed to the system as soon as it is there, so that a program that is killed loses none, and written to the
disk every few seconds, so that a power failure loses little. A line that was not written to its end is dropped.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from uhd_edge.evaluation.asking.row import Row, parse_row
from uhd_edge.evaluation.errors import ResultsError
from uhd_edge.runtime.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECONDS_BETWEEN_SYNCS = 5.0
NAME_DIGITS = 12  # of the head's checksum


def results_name(label: str, head: Mapping[str, Any]) -> str:
    """The name of the file for a setting and what its first line says."""
    readable = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    return f"{readable}-{hashlib.sha256(_head_line(head)).hexdigest()[:NAME_DIGITS]}.jsonl"


def read_rows(file: Path) -> dict[int, Row]:
    """Read the rows of a file by their questions; of two about the same question the later one counts."""
    with file.open("rb") as stream:
        stream.readline()
        rows = (parse_row(line) for line in stream if line.endswith(b"\n"))
        return {row.question: row for row in rows if row is not None}


class ResultsFile:
    """Such a file, open for appending by this process alone; close it, or use it with `with`.

    Raises `ResultsError` when another process is writing to it or its first line is another, and `OutputError` when
    it cannot be written.
    """

    def __init__(self, file: Path, head: Mapping[str, Any]) -> None:
        self._file = file
        with self._writing():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        self._synced = time.monotonic()
        try:
            self._lock()
            with self._writing():
                self._size = self._drop_half_line()
                if self._size == 0:
                    self._append(_head_line(head))
            self._check_head(head)
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, row: Row) -> None:
        """Write a row; raises `OutputError` when the disk is full, and leaves the rows before it as they are."""
        with self._writing():
            self._append(row.line())
            if time.monotonic() - self._synced > SECONDS_BETWEEN_SYNCS:
                os.fsync(self._descriptor)
                self._synced = time.monotonic()

    def close(self) -> None:
        """Write everything to the disk. Safe to call twice."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(OSError):  # the rows are with the system already
                os.fsync(descriptor)
            os.close(descriptor)

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, line: bytes) -> None:
        done = 0
        try:
            while done < len(line):
                done += os.pwrite(self._descriptor, line[done:], self._size + done)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResultsError(f"{self._file}: another run is writing to it; wait for it, or stop it") from error

    def _drop_half_line(self) -> int:
        """Cut the file behind its last whole line, and return its size."""
        whole = 0
        with open(self._descriptor, "rb", closefd=False) as stream:
            for line in stream:
                whole += len(line) if line.endswith(b"\n") else 0
        os.ftruncate(self._descriptor, whole)
        return whole

    def _check_head(self, head: Mapping[str, Any]) -> None:
        expected = _head_line(head)
        if os.pread(self._descriptor, len(expected), 0) != expected:
            raise ResultsError(f"{self._file}: its first line was changed; delete the file, or choose another folder")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{error.filename or self._file}: cannot be written ({error.strerror}); what is answered is kept, and "
                "the same command goes on from there"
            ) from error


def _head_line(head: Mapping[str, Any]) -> bytes:
    return json.dumps(head, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace") + b"\n"
