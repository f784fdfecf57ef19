"""A file or folder of rows: of which kind it is, and whether it is still the same."""

from __future__ import annotations

import glob
import hashlib
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.rows.errors import DataSetError
from uhd_edge.rows.json_lines import read_json_lines
from uhd_edge.rows.parquet import count_rows, parquet_files, read_parquet
from uhd_edge.rows.picture_files import PictureFiles, has_suffix, listed_pictures, pictures_in, pictures_like
from uhd_edge.rows.vlmevalkit_tsv import read_tsv
from uhd_edge.rows.web_dataset import SUFFIXES as TARS
from uhd_edge.rows.web_dataset import checksum, count_samples, read_tars, tar_files
from uhd_edge.runtime.images.loading import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from uhd_edge.rows.row import RawRow

JSON_LINES = (".jsonl", ".ndjson")
PARQUET = ".parquet"
LIST = ".txt"
NOT_ASKED = ("answer", "answers", "metric", "group")  # columns that change how an answer counts, and not the question


@dataclass(frozen=True)
class RowSource:
    """Rows that can be read again and again; `sha256` changes when they or their columns do.

    `read` yields them from a number on, 0 for all. `count` says how many there are, without reading pictures.
    """

    name: str
    sha256: str
    read: Callable[[int], Iterator[RawRow]]
    count: Callable[[], int]


def open_source(given: str, columns: Mapping[str, str], split: str | None = None) -> RowSource:
    """Open whatever holds pictures: rows (see `open_rows`), a folder, a pattern, a list of paths, or tar files.

    A folder is one of parquet files, of tar files or of pictures, by what is in it, and a pattern by what fits it; a
    `.txt` is a list. Raises `DataSetError` for what is missing, empty or ambiguous.
    """
    path = Path(given)
    try:
        if path.is_dir():
            return _opened_folder(path, columns, split)
        if split is not None and (path.exists() or glob.has_magic(given)):
            raise _no_splits(given)
        if not path.exists():
            if glob.has_magic(given):
                return _of_pattern(given, columns)
            raise DataSetError(f"{path}: no such file or folder")
        suffix = path.suffix.lower()
        if suffix == LIST:
            return _of_pictures(path.name, listed_pictures(path))
        if suffix in TARS:
            return _of_tars(path.name, [path], columns)
        if suffix in PICTURE_SUFFIXES:
            return _of_pictures(path.name, PictureFiles(path.parent, (path.name,)))
    except OSError as error:
        raise DataSetError(f"{error.filename or path}: cannot be read ({error.strerror})") from error
    return open_rows(path, columns, split)


def open_rows(path: Path, columns: Mapping[str, str], split: str | None = None) -> RowSource:
    """Find out of which kind a file of rows is, and read it once for its checksum.

    A `.jsonl` file is JSON lines, a `.tsv` is VLMEvalKit's, a folder is one of parquet files. `columns` are the names
    of its columns by ours, such as {"question": "query"}. Raises `DataSetError` for anything else.
    """
    try:
        return _opened(path, columns, split)
    except OSError as error:
        raise DataSetError(f"{error.filename or path}: cannot be read ({error.strerror})") from error


def _opened(path: Path, columns: Mapping[str, str], split: str | None) -> RowSource:
    if path.is_dir():
        files = parquet_files(path, split)
        name = path.resolve().name if split is None else f"{path.resolve().name}/{split}"
        return _of_parquet(name, files, columns)
    if not path.exists():
        raise DataSetError(f"{path}: no such file or folder")
    if split is not None:
        raise _no_splits(path)
    suffix = path.suffix.lower()
    if suffix == PARQUET:
        return _of_parquet(path.name, [path], columns)
    if suffix == ".tsv":
        return _of_text(path, columns, read_tsv)
    if suffix in JSON_LINES:
        return _of_text(path, columns, read_json_lines)
    raise DataSetError(
        f"{path}: of no known kind; give JSON lines (.jsonl), a TSV of VLMEvalKit, or a folder of parquet files"
    )


def _no_splits(given: Path | str) -> DataSetError:
    return DataSetError(f"{given}: only a folder of parquet files has splits; leave --split out")


def _opened_folder(folder: Path, columns: Mapping[str, str], split: str | None) -> RowSource:
    kinds = {"parquet files": (PARQUET,), "tar files": TARS, "pictures": tuple(PICTURE_SUFFIXES)}
    found = [kind for kind, suffixes in kinds.items() if has_suffix(folder, suffixes)]
    if len(found) > 1:
        pattern = folder / ("*.tar" if "tar files" in found else "*.jpg")
        raise DataSetError(f"{folder}: {' and '.join(found)} in one folder; name the files, as in '{pattern}'")
    if found == ["parquet files"]:
        return open_rows(folder, columns, split)
    if split is not None:
        raise _no_splits(folder)
    if found == ["tar files"]:
        return _of_tars(folder.resolve().name, tar_files(folder), columns)
    return _of_pictures(folder.resolve().name, pictures_in(folder))


def _of_pattern(pattern: str, columns: Mapping[str, str]) -> RowSource:
    """Tar or parquet files where the pattern fits nothing else, otherwise pictures."""
    found = pictures_like(pattern)
    files, suffixes = [found.folder / name for name in found.names], {Path(name).suffix.lower() for name in found.names}
    if suffixes <= set(TARS):
        return _of_tars(pattern, files, columns)
    return _of_parquet(pattern, files, columns) if suffixes == {PARQUET} else _of_pictures(pattern, found)


def _of_pictures(name: str, files: PictureFiles) -> RowSource:
    return RowSource(name, files.sha256(), files.read, lambda: len(files.names))


def _of_tars(name: str, files: Sequence[Path], columns: Mapping[str, str]) -> RowSource:
    sha256 = _with_columns(checksum(files), columns)
    return RowSource(name, sha256, partial(read_tars, files, columns), partial(count_samples, files))


def _of_parquet(name: str, files: list[Path], columns: Mapping[str, str]) -> RowSource:
    sha256 = _with_columns(_checksum(files), columns)
    return RowSource(name, sha256, partial(read_parquet, files, columns), partial(count_rows, files))


def _of_text(
    file: Path, columns: Mapping[str, str], reader: Callable[[Path, Mapping[str, str], int], Iterator[RawRow]]
) -> RowSource:
    """Counting reads every line, so that one that is broken is found at the beginning."""
    read = partial(reader, file, columns)
    return RowSource(file.name, _with_columns(compute_sha256(file), columns), read, lambda: sum(1 for _ in read(0)))


def _with_columns(sha256: str, columns: Mapping[str, str]) -> str:
    """Another checksum where other columns are asked: answers to one column are none to another."""
    asked = sorted((ours, theirs) for ours, theirs in columns.items() if ours not in NOT_ASKED)
    return (
        hashlib.sha256(json.dumps([sha256, asked]).encode("utf-8", "surrogateescape")).hexdigest() if asked else sha256
    )


def _checksum(files: Sequence[Path]) -> str:
    """SHA-256 of one file, or of the names and checksums of several."""
    if len(files) == 1:
        return compute_sha256(files[0])
    listed = "".join(f"{file.name} {compute_sha256(file)}\n" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()
