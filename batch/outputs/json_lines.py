"""Answers as one file of JSON lines: which rows are finished is what its lines say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uhd_edge.batch.finished import Finished
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

    `finished` are the rows in it; where the run is `ordered`, they are in the order of their numbers.
    Raises `ResultsError` for a file of another run or of somebody else, and `OutputError` when it cannot be written.
    """

    finished: Finished

    def __init__(self, file: Path, head: Mapping[str, Any], *, ordered: bool = True) -> None:
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
            self.finished = Finished()
            keep_whole_rows(self._journal, self.finished, ordered=ordered)
        except BaseException:
            self._journal.close()
            raise

    def append(self, row: Row) -> None:
        """Write a row that is not finished; raises `OutputError`, and then leaves the rows before it."""
        self._journal.append(row.line())
        self.finished.add(row.number)

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


def keep_whole_rows(journal: Journal, finished: Finished, *, ordered: bool) -> None:
    """Add the rows of a journal to the finished ones.

    What a power failure left in pieces is cut off, with everything behind it. Raises `ResultsError` for rows that
    somebody has put into another order, or written twice.
    """
    size = 0
    for line in journal.lines():
        row = parse_row(line)
        if row is None:
            journal.cut(size)
            return
        if row.number in finished or (ordered and row.number != finished.first_missing):
            problem = "is there twice" if row.number in finished else f"is where {finished.first_missing} should be"
            raise ResultsError(
                f"{journal.file}: row {row.number} {problem}; rows were changed. Delete the file, or choose another "
                "--output"
            )
        finished.add(row.number)
        size += len(line)
