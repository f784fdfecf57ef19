"""Answers as a folder of parquet files: rows are collected in a journal, and become a file once there are enough.

A file is written under another name, put in place by renaming, and only then is the journal emptied. A program that is
killed in between finds rows in its journal that are in a file already, and drops them there.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from os import fsync
from typing import TYPE_CHECKING, Any

from uhd_edge.batch.finished import Finished
from uhd_edge.batch.outputs.head import require_own, require_same_run, write_head
from uhd_edge.batch.outputs.json_lines import keep_whole_rows
from uhd_edge.batch.row import Row, parse_row
from uhd_edge.engines.extras import extra_needed
from uhd_edge.rows.errors import ResultsError
from uhd_edge.rows.journal import Journal
from uhd_edge.rows.parquet import read_column
from uhd_edge.runtime.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ROWS_A_FILE = 10_000
JOURNAL, HEAD = "_rows.jsonl", "_run.json"  # readers of parquet pass over names with an underscore


class ParquetOutput:
    """Such a folder, open for this process alone; close it, or use it with `with`.

    `finished` are the rows in it; where the run is `ordered`, they are in the order of their numbers.
    Raises `ResultsError` for a folder of another run or of somebody else, and `OutputError` when it cannot be written.
    Needs pyarrow (`pip install 'uhd-edge[parquet]'`).
    """

    finished: Finished

    def __init__(
        self, folder: Path, head: Mapping[str, Any], *, ordered: bool = True, rows_a_file: int = ROWS_A_FILE
    ) -> None:
        if folder.exists() and not folder.is_dir():
            raise ResultsError(f"{folder}: is a file; answers in parquet are a folder; choose another --output")
        self._folder, self._rows_a_file = folder, rows_a_file
        if folder.is_dir() and any(folder.iterdir()):
            require_own(folder / JOURNAL, folder)
        self._journal = Journal(folder / JOURNAL)  # from here on no other process writes
        try:
            if self._journal.size or self._files():
                require_same_run(folder / HEAD, head, answers=folder)
            else:
                write_head(folder / HEAD, head)
            self.finished = Finished()
            self._find_finished()
            self._in_files = len(self.finished)
            self._drop_finished()
            keep_whole_rows(self._journal, self.finished, ordered=ordered)
        except BaseException:
            self._journal.close()
            raise

    def append(self, row: Row) -> None:
        """Write a row that is not finished; raises `OutputError`, and then leaves the rows before it."""
        self._journal.append(row.line())
        self.finished.add(row.number)
        if len(self.finished) - self._in_files >= self._rows_a_file:
            self._write_file()

    def finish(self) -> None:
        """Write the rows that are in the journal into a last file; raises `OutputError`."""
        if len(self.finished) > self._in_files:
            self._write_file()

    def close(self) -> None:
        """Close the journal. Safe to call twice."""
        self._journal.close()

    def __enter__(self) -> ParquetOutput:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("rows-*.parquet"))

    def _find_finished(self) -> None:
        """Read the numbers of the rows in files; what was not put in place is removed."""
        for unfinished in self._folder.glob("_rows-*.unfinished"):
            unfinished.unlink()
        for number in read_column(self._files(), "number"):
            self.finished.add(number)

    def _drop_finished(self) -> None:
        """Empty a journal whose rows went into a file before the program was killed."""
        first = parse_row(next(self._journal.lines(), b""))
        if first is not None and first.number in self.finished:
            self._journal.cut(0)

    def _write_file(self) -> None:
        with extra_needed("parquet", "answers in parquet"):
            import pyarrow
            import pyarrow.parquet
        rows = [asdict(row) for row in map(parse_row, self._journal.lines()) if row is not None]
        kinds = {"int": pyarrow.int64(), "str": pyarrow.string(), "str | None": pyarrow.string()}
        schema = pyarrow.schema([(field.name, kinds[str(field.type)]) for field in fields(Row)])
        file = self._folder / f"rows-{self._in_files:012}.parquet"
        temporary = self._folder / f"_{file.stem}.unfinished"
        try:
            with temporary.open("wb") as stream:
                pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), stream)
                stream.flush()
                fsync(stream.fileno())
            temporary.replace(file)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OutputError(
                f"{error.filename or file}: cannot be written ({error.strerror}); what is answered is kept, and the "
                "same command goes on from there"
            ) from error
        self._in_files += len(rows)
        self._journal.cut(0)
