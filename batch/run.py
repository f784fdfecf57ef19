"""A run: every question about every picture, unless its row was written before.

rows  ->  groups of questions about the same pictures  ->  lanes  ->  rows, written as they come
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Protocol

from uhd_edge.batch.groups import read_groups
from uhd_edge.rows.errors import DataSetError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.batch.groups import Group
    from uhd_edge.batch.order import Order
    from uhd_edge.batch.outputs.opening import Output
    from uhd_edge.batch.row import Row


class Answering(Protocol):
    """What answers groups: `Lanes`, or the `Cluster` of `batch/cluster/`."""

    def answer(self, groups: Iterator[Group], *, ordered: bool = True) -> Iterator[tuple[Row, ...]]:
        """Yield the rows of each group, in the order of the groups, or else as they are ready."""
        ...


def count_rows(order: Order) -> int:
    """Count the rows that a run will have, and look at the first; raises `DataSetError` if it cannot be asked."""
    count = order.count()
    if next(read_groups(order.source, order.questions), None) is None:
        raise DataSetError(f"{order.source.name}: no rows in it")
    return count


def write_rows(order: Order, answering: Answering, output: Output) -> Iterator[Row]:
    """Answer what is not in `output`, write each row, and yield it.

    Raises `OutputError` when a row cannot be written, `DataSetError` for input that cannot be read on, and
    `ModelError` when the language model fails; all rows before are kept.
    """
    groups = read_groups(order.source, order.questions, deepcopy(output.finished))
    for rows in answering.answer(groups, ordered=order.ordered):
        for row in rows:
            output.append(row)
            yield row
    output.finish()
