"""Answers as one file of JSON lines, in order: how many rows are finished is how many lines there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uhd_edge.batch.outputs.head import require_own, require_same_run, write_head
from uhd_edge.batch.row import parse_row
from uhd_edge.rows.errors import ResultsError
from uhd_edge.rows.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from uhd_edge.batch.row import Row


class JsonLinesOutput:
    """Such a file, open for this process alone; close it, or use it with `with`.

    `count` rows are in it, those with the numbers below `count`. Raises `ResultsError` for a file of another run or of
    somebody else, and `OutputError` when it cannot be written.
    """

    count: int

    def __init__(self, file: Path, head: Mapping[str, Any]) -> None:
        if file.is_dir():
            raise ResultsError(f"{file}: is a folder; --output is a file .jsonl, or .parquet for a folder of those")
        beside = file.with_name(f".{file.name}.run")
        if file.exists() and file.stat().st_size > 0:
            require_own(beside, file)
        self._journal = Journal(file)  # from here on no other process writes
        try:
            if self._journal.size:
                require_same_run(beside, head, answers=file)
            else:
                write_head(beside, head)
            self.count = keep_whole_rows(self._journal, first=0)
        except BaseException:
            self._journal.close()
            raise

    def append(self, row: Row) -> None:
        """Write the row with the number `count`; raises `OutputError`, and then leaves the rows before it."""
        self._journal.append(row.line())
        self.count += 1

    def finish(self) -> None:
        """Make sure that everything is on the disk; raises `OutputError`."""
        self._journal.sync()

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._journal.close()

    def __enter__(self) -> JsonLinesOutput:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def keep_whole_rows(journal: Journal, *, first: int) -> int:
    """Return the number that follows the rows of a journal, which begin with `first`.

    What a power failure left in pieces is cut off, with everything behind it. Raises `ResultsError` for rows that
    somebody has put into another order.
    """
    number, size = first, 0
    for line in journal.lines():
        row = parse_row(line)
        if row is None:
            journal.cut(size)
            break
        if row.number != number:
            raise ResultsError(
                f"{journal.file}: row {row.number} is where {number} should be; rows were changed. Delete the file, or "
                "choose another --output"
            )
        number, size = number + 1, size + len(line)
    return number
