"""Rows become groups of questions about the same pictures, which are decoded, encoded and read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.batch.finished import Finished
from uhd_edge.rows.errors import DataSetError
from uhd_edge.rows.row import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from uhd_edge.rows.pictures import Picture
    from uhd_edge.rows.row import RawRow
    from uhd_edge.rows.source import RowSource

MOST_QUESTIONS = 32  # in a group; its answers are written together


@dataclass(frozen=True)
class Asked:
    """One question: its number in the run, what names its picture, and its text, or the `problem` it has instead."""

    number: int
    image: str
    question: str | None
    problem: str | None = None


@dataclass(frozen=True)
class Group:
    """Questions about the same pictures, in order."""

    pictures: tuple[Picture, ...]
    asked: tuple[Asked, ...]


def read_groups(source: RowSource, questions: Sequence[str], finished: Finished | None = None) -> Iterator[Group]:
    """Read the groups of the questions that are not `finished`.

    `questions` are asked of every row; without them a row has its own. Consecutive rows about the same pictures are
    one group. Raises `DataSetError` if the very first row lacks what is asked; a later one has it as its problem.
    """
    each, done = max(1, len(questions)), finished or Finished()
    begin = done.first_missing // each
    pictures: tuple[Picture, ...] = ()
    waiting: list[Asked] = []
    for index, row in enumerate(source.read(begin), begin):
        own = row.pictures or ()
        for asked in _asked(row, index, questions):
            if asked.number in done:
                continue
            if waiting and (own != pictures or len(waiting) == MOST_QUESTIONS):
                yield Group(pictures, tuple(waiting))
                waiting = []
            pictures = own
            waiting.append(asked)
    if waiting:
        yield Group(pictures, tuple(waiting))


def _asked(row: RawRow, index: int, questions: Sequence[str]) -> list[Asked]:
    image = row.name or _text(row.values.get("image")) or row.where
    texts: Sequence[str | None] = questions or [text_of(row.values.get("question"))]
    problem = _problem(row, texts)
    if problem is not None and index == 0:
        raise DataSetError(f"{row.where}: {problem}")
    first = index * len(texts)
    return [Asked(first + place, image, text, problem) for place, text in enumerate(texts)]


def _problem(row: RawRow, texts: Sequence[str | None]) -> str | None:
    columns = ", ".join(row.values)
    if None in texts:
        return f"no question; the columns are {columns}; give --question, or --column question=NAME"
    if row.pictures is None:
        return f"no image; the columns are {columns} (`image: []` is a question without one)"
    return None


def _text(value: object) -> str | None:
    """A path; not a picture's own bytes or data URI."""
    text = text_of(value)
    return None if text is None or len(text) > 4096 or text.startswith("data:") else text
