"""The file that the answers of one setting are appended to, and that a stopped run goes on with.

The first line says what was asked of what: the checksums of data and bundle, the setting, and how it was asked. The
file's name has a part of that line's checksum, so answers to anything else are in another file.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from uhd_edge.evaluation.asking.row import Row, parse_row
from uhd_edge.rows.errors import ResultsError
from uhd_edge.rows.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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
        self._journal = Journal(file)
        try:
            if self._journal.size == 0:
                self._journal.append(_head_line(head))
            self._check_head(head)
        except BaseException:
            self._journal.close()
            raise

    def append(self, row: Row) -> None:
        """Write a row; raises `OutputError` when the disk is full, and leaves the rows before it as they are."""
        self._journal.append(row.line())

    def close(self) -> None:
        """Write everything to the disk. Safe to call twice."""
        self._journal.close()

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_head(self, head: Mapping[str, Any]) -> None:
        if next(self._journal.lines()) != _head_line(head):
            file = self._journal.file
            raise ResultsError(f"{file}: its first line was changed; delete the file, or choose another folder")


def _head_line(head: Mapping[str, Any]) -> bytes:
    return json.dumps(head, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace") + b"\n"
