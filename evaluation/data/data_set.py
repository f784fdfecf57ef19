"""A data set on disk: rows with questions and right answers, and how they are scored."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from uhd_edge.evaluation.data.question import Question, question_of
from uhd_edge.evaluation.metrics.names import find_metric
from uhd_edge.rows.errors import DataSetError
from uhd_edge.rows.source import open_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from uhd_edge.rows.row import RawRow

COLUMNS = ("image", "images", "question", "answer", "answers", "choices", "metric", "group", "hint", "index")

# VLMEvalKit chooses how to score by the name of the data set (`hit_calculate`, `OCRBench.evaluate`).
METRIC_BY_NAME = {
    "OCRBench": "ocrbench",
    "TextVQA": "vqa_accuracy",
    "DocVQA": "anls",
    "InfoVQA": "anls",
    "ChartQA": "relaxed_accuracy",
}


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
    read: Callable[[int], Iterator[RawRow]]

    def questions(self, limit: int | None = None) -> Iterator[Question]:
        """Yield the questions in order, `limit` at most; raises `DataSetError` at the first that cannot be asked."""
        for number, row in enumerate(self.read(0)):
            if limit is not None and number >= limit:
                return
            yield question_of(number, row, self.metric)


def open_data_set(path: Path, reading: Reading) -> DataSet:
    """Open a file or folder of rows (see `open_rows`) as a data set.

    Raises `DataSetError` for one that is missing or of no known kind, and `OptionError` for a metric that does not
    exist.
    """
    if reading.metric is not None:
        find_metric(reading.metric)
    unknown = [name for name in reading.columns if name not in COLUMNS]
    if unknown:
        raise DataSetError(f"no column {unknown[0]!r} is read; those that are read are {', '.join(COLUMNS)}")
    source = open_rows(path, reading.columns, reading.split)
    metric = reading.metric or (metric_of(path) if path.suffix.lower() == ".tsv" else None)
    return DataSet(source.name, source.sha256, metric, source.read)


def metric_of(file: Path) -> str | None:
    """The metric that VLMEvalKit scores a data set of this name with; None for the default."""
    return next((metric for name, metric in METRIC_BY_NAME.items() if file.name.startswith(name)), None)
