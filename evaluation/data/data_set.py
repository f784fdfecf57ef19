"""A data set on disk: of which kind it is, what is in it, and whether it is still the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.evaluation.data.json_lines import read_json_lines
from uhd_edge.evaluation.data.parquet import parquet_files, read_parquet
from uhd_edge.evaluation.data.question import Question, question_of
from uhd_edge.evaluation.data.vlmevalkit_tsv import metric_of, read_tsv
from uhd_edge.evaluation.errors import DataSetError
from uhd_edge.evaluation.metrics.names import find_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from uhd_edge.evaluation.data.question import RawRow

COLUMNS = ("image", "images", "question", "answer", "answers", "choices", "metric", "group", "hint", "index")


@dataclass(frozen=True)
class Reading:
    """How a data set is read.

    `metric` scores the rows that name none. `columns` are the names of its columns by ours, such as
    {"question": "query"}. `split` is the part of a folder that is asked.
    """

    metric: str | None = None
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    split: str | None = None


@dataclass(frozen=True)
class DataSet:
    """A data set whose files are there; `sha256` is that of their contents."""

    name: str
    sha256: str
    metric: str | None
    read: Callable[[], Iterator[RawRow]]

    def questions(self, limit: int | None = None) -> Iterator[Question]:
        """Yield the questions in order, `limit` at most; raises `DataSetError` at the first that cannot be asked."""
        for number, row in enumerate(self.read()):
            if limit is not None and number >= limit:
                return
            yield question_of(number, row, self.metric)


def open_data_set(path: Path, reading: Reading) -> DataSet:
    """Find out of which kind a data set is, and read its files once for their checksum.

    A `.jsonl` file is JSON lines, a `.tsv` is VLMEvalKit's, a folder is one of parquet files. Raises `DataSetError`
    for anything else, and `OptionError` for a metric that does not exist.
    """
    if reading.metric is not None:
        find_metric(reading.metric)
    unknown = [name for name in reading.columns if name not in COLUMNS]
    if unknown:
        raise DataSetError(f"no column {unknown[0]!r} is read; those that are read are {', '.join(COLUMNS)}")
    try:
        return _opened(path, reading)
    except OSError as error:
        raise DataSetError(f"{error.filename or path}: cannot be read ({error.strerror})") from error


def _opened(path: Path, reading: Reading) -> DataSet:
    if path.is_dir():
        files = parquet_files(path, reading.split)
        name = path.resolve().name if reading.split is None else f"{path.resolve().name}/{reading.split}"
        return DataSet(name, _checksum(files), reading.metric, partial(read_parquet, files, reading.columns))
    if reading.split is not None:
        raise DataSetError(f"{path}: only a folder of parquet files has splits; leave --split out")
    if path.suffix == ".parquet":
        return DataSet(path.name, _checksum([path]), reading.metric, partial(read_parquet, [path], reading.columns))
    if path.suffix == ".tsv":
        metric = reading.metric or metric_of(path)
        return DataSet(path.name, _checksum([path]), metric, partial(read_tsv, path, reading.columns))
    if path.suffix in (".jsonl", ".ndjson"):
        return DataSet(path.name, _checksum([path]), reading.metric, partial(read_json_lines, path, reading.columns))
    what = "of no known kind" if path.exists() else "no such file or folder"
    raise DataSetError(f"{path}: {what}; give JSON lines (.jsonl), a TSV of VLMEvalKit, or a folder of parquet files")


def _checksum(files: Sequence[Path]) -> str:
    """SHA-256 of one file, or of the names and checksums of several."""
    if len(files) == 1:
        return compute_sha256(files[0])
    listed = "".join(f"{file.name} {compute_sha256(file)}\n" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()
