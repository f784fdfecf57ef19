"""What runs on the machines of a cluster: a bundle, open in lanes, that answers blocks of groups."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.batch.cluster.bundle_copy import SentBundle, receive_bundle
from uhd_edge.batch.lanes import Lanes, count_lanes
from uhd_edge.batch.order import Asking, Opening

if TYPE_CHECKING:
    import pyarrow

    from uhd_edge.runtime.options import AskOptions

GROUPS, ROWS = "groups", "rows"  # the only column of a block, before and after


@dataclass(frozen=True)
class WorkerOrder:
    """What a worker is told: the bundle, how to ask, and how many lanes and threads it has."""

    bundle: SentBundle
    opening: Opening
    options: AskOptions
    lanes: int | None
    threads: int


class BatchWorker:
    """An actor of Ray Data; it is made once in each worker process, and again where one has died."""

    def __init__(self, order: WorkerOrder) -> None:
        import ray  # pyright: ignore[reportMissingImports]  # an extra of its own

        asking = Asking(receive_bundle(order.bundle, ray.get), order.opening, order.options)
        self._lanes = Lanes(asking, count_lanes(order.lanes, order.threads))

    def __call__(self, block: pyarrow.Table) -> pyarrow.Table:
        """Answer the groups of a block; the rows of each are in its place."""
        import pyarrow

        groups = map(pickle.loads, block.column(GROUPS).to_pylist())  # written by our own process
        answered = [pickle.dumps(rows) for rows in self._lanes.answer(groups)]
        return pyarrow.table({ROWS: pyarrow.array(answered, pyarrow.large_binary())})
