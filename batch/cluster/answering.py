"""Groups go to the workers of a cluster in blocks, and their rows come back.

    groups  ->  blocks, a few at a time  ->  actors, a bundle open in each  ->  rows

Rows are written by the process that started the run, and so there is one of each, as with lanes.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from uhd_edge.batch.cluster.bundle_copy import send_bundle
from uhd_edge.batch.cluster.pool import BLOCKS_A_WORKER, BlockRun
from uhd_edge.batch.cluster.worker import BatchWorker, WorkerOrder
from uhd_edge.engines.extras import extra_needed
from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.batch.groups import Group
    from uhd_edge.batch.order import Asking
    from uhd_edge.batch.row import Row

GROUPS_A_BLOCK = 16
THREADS = 4  # of a worker, by default
LOCAL = "local"  # a cluster on this machine alone


@dataclass(frozen=True)
class ClusterOptions:
    """`address` is that of a cluster that runs, `auto` to find one, or `local` to start one on this machine.

    A worker has `threads` cores and as many `lanes` as `count_lanes` says; `workers` is how many there are, None for
    as many as the cluster has room for: one for each GPU, or one for each `threads` cores.
    """

    address: str = LOCAL
    workers: int | None = None
    lanes: int | None = None
    threads: int | None = None


class Cluster:
    """A connection to a cluster; make it with `connected`."""

    def __init__(self, ray: Any, asking: Asking, options: ClusterOptions) -> None:
        self._ray, self._asking, self._options = ray, asking, options
        self._workers: list[Any] = []
        self.notes: tuple[str, ...] = ()

    def answer(self, groups: Iterator[Group], *, ordered: bool = True) -> Iterator[tuple[Row, ...]]:
        """Answer groups, and yield the rows of each in the order of the groups, or else as they are ready.

        No more groups are read ahead than the workers need; a picture that is a file travels as its path. Raises
        `ModelError` when a worker fails for a reason of its own, which would fail it again.
        """
        blocks = _blocks(groups)
        room = self._room()
        first = list(islice(blocks, room * BLOCKS_A_WORKER))
        if not first:
            return
        self._open_workers(min(room, len(first)))
        yield from BlockRun(self._ray, self._workers, ordered=ordered).answer(chain(first, blocks))

    def _open_workers(self, count: int) -> None:
        """Open `count` workers, less those that are open since an earlier call."""
        if count <= len(self._workers):
            return
        worker = self._ray.remote(BatchWorker).options(max_restarts=-1, **self._resources())
        order = self._worker_order()
        self._workers += [worker.remote(order) for _ in range(count - len(self._workers))]

    def _worker_order(self) -> WorkerOrder:
        asking, options = self._asking, self._options
        sent = send_bundle(asking.bundle, self._ray.put)
        return WorkerOrder(sent, asking.opening, asking.options, options.lanes, self._threads())

    def _threads(self) -> int:
        return self._options.threads or max(1, min(THREADS, int(self._ray.cluster_resources().get("CPU", 1))))

    def _resources(self) -> dict[str, float]:
        gpus = self._ray.cluster_resources().get("GPU", 0)
        return {"num_cpus": self._threads(), **({"num_gpus": 1} if gpus else {})}

    def _room(self) -> int:
        """How many workers there are, at most."""
        resources = self._ray.cluster_resources()
        room = int(min(resources.get(kind, 0) // need for kind, need in self._needs()))
        if room < 1:
            raise OptionError(
                f"a worker needs {self._threads()} cores, and the cluster has {resources.get('CPU', 0):g}; "
                "give --threads"
            )
        return min(self._options.workers or room, room)

    def _needs(self) -> list[tuple[str, float]]:
        names = {"num_cpus": "CPU", "num_gpus": "GPU"}
        return [(names[name], need) for name, need in self._resources().items()]


def _blocks(groups: Iterator[Group]) -> Iterator[tuple[Group, ...]]:
    while block := tuple(islice(groups, GROUPS_A_BLOCK)):
        yield block


@contextmanager
def connected(asking: Asking, options: ClusterOptions) -> Iterator[Cluster]:
    """Connect to the cluster, or start one on this machine, and leave it at the end.

    Needs Ray (`pip install 'uhd-edge[ray]'`). Raises `OptionError` for an address where there is none.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers unless told not to
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with extra_needed("ray", "--ray"):
        import ray  # pyright: ignore[reportMissingImports]  # an extra of its own
    address = None if options.address == LOCAL else options.address
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise OptionError(f"--ray {options.address}: no cluster there ({' '.join(str(error).split())})") from error
    try:
        yield Cluster(ray, asking, options)
    finally:
        ray.shutdown()
