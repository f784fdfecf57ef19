"""A data set of the Hugging Face Hub, as its folder of parquet files."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from uhd_edge.engines.extras import extra_needed
from uhd_edge.rows.errors import DataSetError
from uhd_edge.rows.row import RawRow, renamed_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from uhd_edge.rows.pictures import Picture

ROWS_AT_ONCE = 16  # pictures that are in memory


def parquet_files(folder: Path, split: str | None) -> list[Path]:
    """The files of a split, which their names begin with (`test-00000-of-00002.parquet`), in order.

    Raises `DataSetError` where there are none, or of several splits without `split`.
    """
    by_split: dict[str, list[Path]] = {}
    for file in sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".parquet"):
        by_split.setdefault(file.stem.partition("-")[0], []).append(file)
    if not by_split:
        raise DataSetError(f"{folder}: no parquet files; a folder is a data set of the Hugging Face Hub")
    if split is None and len(by_split) > 1:
        raise DataSetError(f"{folder}: several splits; choose one with --split: {', '.join(by_split)}")
    if split is not None and split not in by_split:
        raise DataSetError(f"{folder}: no split {split!r}; there are {', '.join(by_split)}")
    return by_split[split] if split is not None else next(iter(by_split.values()))


def read_parquet(files: list[Path], renamed: Mapping[str, str], begin: int = 0) -> Iterator[RawRow]:
    """Read the rows of files in order, from number `begin` on. Needs pyarrow (`pip install 'uhd-edge[parquet]'`).

    Groups of rows before `begin` are not read. Raises `DataSetError` for a file that is not parquet.
    """
    for file in files:
        with _opened(file) as opened:
            for number, row in _rows(opened, begin):
                where = f"{file.name}, row {number + 1}"
                values = row | renamed_values(where, row, renamed)
                yield RawRow(where, values, _pictures(where, values, file.parent))
            begin = max(0, begin - opened.metadata.num_rows)


def _rows(opened: Any, begin: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of one file with their numbers in it, from `begin` on."""
    first = 0
    wanted: list[int] = []
    for group in range(opened.num_row_groups):
        count = opened.metadata.row_group(group).num_rows
        if wanted or begin < first + count:
            wanted.append(group)
        else:
            first += count
    if wanted:
        batches = opened.iter_batches(ROWS_AT_ONCE, row_groups=wanted)
        rows = enumerate((row for batch in batches for row in batch.to_pylist()), first)
        yield from islice(rows, begin - first, None)


def count_rows(files: Sequence[Path]) -> int:
    """Count the rows by the files' own numbers; raises as `read_parquet` does."""
    total = 0
    for file in files:
        with _opened(file) as opened:
            total += opened.metadata.num_rows
    return total


def read_column(files: Sequence[Path], column: str) -> Iterator[Any]:
    """Read the values of one column, and nothing else; raises as `read_parquet` does."""
    for file in files:
        with _opened(file) as opened:
            for batch in opened.iter_batches(columns=[column]):
                yield from batch.column(0).to_pylist()


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    with extra_needed("parquet", "parquet"):
        import pyarrow
        import pyarrow.parquet
    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            yield opened
    except pyarrow.ArrowException as error:
        raise DataSetError(f"{file}: not readable as parquet ({error})") from error


def _pictures(where: str, values: Mapping[str, Any], folder: Path) -> tuple[Picture, ...] | None:
    names = [name for name in ("image", "images") if name in values]
    if not names:
        return None
    given = values[names[-1]]
    listed = given if isinstance(given, list) else [given]
    return tuple(_picture(where, one, folder) for one in listed if one is not None)


def _picture(where: str, given: object, folder: Path) -> Picture:
    """The Hub's image column is a record of `bytes` and `path`."""
    if isinstance(given, bytes):
        return given
    if isinstance(given, dict) and isinstance(given.get("bytes"), bytes):
        return bytes(given["bytes"])
    path = given.get("path") if isinstance(given, dict) else given
    if isinstance(path, str) and path:
        return folder / path
    raise DataSetError(f"{where}: an image is bytes, or a record of bytes and path, not {type(given).__name__}")
