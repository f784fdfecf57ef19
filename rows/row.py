"""A row as it lies in a file, and how its values are read."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uhd_edge.rows.errors import DataSetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from uhd_edge.rows.pictures import Picture

NAMES = ("index", "id", "question_id", "questionId")  # columns that name a question


@dataclass(frozen=True)
class RawRow:
    """A row as it was read: its place for messages, its values by column, and its pictures (None: no such column)."""

    where: str
    values: Mapping[str, Any]
    pictures: tuple[Picture, ...] | None

    @property
    def name(self) -> str | None:
        """What a column names the row; None where there is no such column."""
        names = (text_of(self.values.get(column)) for column in NAMES)
        return next((name for name in names if name is not None), None)


def renamed_values(where: str, values: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """The values of the columns that have other names, by ours; raises `DataSetError` for one that is not there."""
    for column in renamed.values():
        if column not in values:
            raise DataSetError(f"{where}: no column {column!r}; the columns are {', '.join(values)}")
    return {name: values[column] for name, column in renamed.items()}


def as_list(given: Any) -> Sequence[Any]:
    """A list as it is, a text like `['a', 'b']` as the list it spells, anything else alone."""
    if isinstance(given, list | tuple):
        return given
    if isinstance(given, str) and given.startswith("[") and given.endswith("]"):
        try:
            spelled = ast.literal_eval(given)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return [given]
        return spelled if isinstance(spelled, list) else [given]
    return [given]


def text_of(value: object) -> str | None:
    """A text or a number as text, 3.0 as `3`; None for what is missing, empty or something else."""
    if isinstance(value, bool) or value is None or value != value:  # noqa: PLR0124  # NaN
        return None
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else str(value)
    return value if isinstance(value, str) and value.strip() else None
