"""What runs on the machines of a cluster: a bundle, open in lanes, that answers blocks of groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.batch.cluster.bundle_copy import SentBundle, receive_bundle
from uhd_edge.batch.lanes import Lanes, count_lanes
from uhd_edge.batch.order import Asking, Opening

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.batch.groups import Group
    from uhd_edge.batch.row import Row
    from uhd_edge.runtime.options import AskOptions


@dataclass(frozen=True)
class WorkerOrder:
    """What a worker is told: the bundle, how to ask, and how many lanes and threads it has."""

    bundle: SentBundle
    opening: Opening
    options: AskOptions
    lanes: int | None
    threads: int


class BatchWorker:
    """An actor; Ray makes it once in each worker process, and again where one has died."""

    def __init__(self, order: WorkerOrder) -> None:
        import ray  # pyright: ignore[reportMissingImports]  # an extra of its own

        asking = Asking(receive_bundle(order.bundle, ray.get), order.opening, order.options)
        self._lanes = Lanes(asking, count_lanes(order.lanes, order.threads))

    def is_open(self) -> bool:
        """Return once the bundle is open, because Ray answers nothing before."""
        return True

    def answer(self, block: Sequence[Group]) -> list[tuple[Row, ...]]:
        """Answer the groups of a block; the rows of each are in its place."""
        return list(self._lanes.answer(iter(block)))
