"""Groups go to the workers of a cluster in blocks, and their rows come back in order.

    groups  ->  blocks in Ray's object store  ->  a pool of actors, a bundle open in each  ->  rows

Ray Data gives a block to whichever worker is free, and again to another one if a worker dies. Rows are written by the
process that started the run, and so there is one of each, as with lanes.
"""

from __future__ import annotations

import logging
import os
import pickle
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from uhd_edge.batch.cluster.bundle_copy import send_bundle
from uhd_edge.batch.cluster.worker import GROUPS, ROWS, BatchWorker, WorkerOrder
from uhd_edge.engines.extras import extra_needed
from uhd_edge.runtime.errors import ModelError, OptionError

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
        self.notes: tuple[str, ...] = ()

    def answer(self, groups: Iterator[Group]) -> Iterator[tuple[Row, ...]]:
        """Answer groups, and yield the rows of each in the order of the groups.

        All groups are put into the object store first, which spills to disk; a picture that is a file travels as its
        path. Raises `ModelError` when a worker fails for a reason of its own, which would fail it again.
        """
        blocks = list(self._blocks(groups))
        if not blocks:
            return
        data = self._ray.data.from_arrow_refs(blocks).map_batches(
            BatchWorker,
            fn_constructor_args=(self._worker_order(),),
            batch_format="pyarrow",
            batch_size=GROUPS_A_BLOCK,
            compute=self._ray.data.ActorPoolStrategy(size=self._workers(blocks)),
            **self._resources(),
        )
        try:
            for block in data.iter_rows():
                yield pickle.loads(block[ROWS])  # noqa: S301  # written by our own workers
        except self._ray.exceptions.RayError as error:
            reason = next(reversed(str(error).strip().splitlines()), type(error).__name__)
            raise ModelError(f"a worker of the cluster failed: {reason}") from error

    def _blocks(self, groups: Iterator[Group]) -> Iterator[Any]:
        import pyarrow

        while block := [pickle.dumps(group) for group in islice(groups, GROUPS_A_BLOCK)]:
            yield self._ray.put(pyarrow.table({GROUPS: pyarrow.array(block, pyarrow.large_binary())}))

    def _worker_order(self) -> WorkerOrder:
        asking, options = self._asking, self._options
        sent = send_bundle(asking.bundle, self._ray.put)
        return WorkerOrder(sent, asking.opening, asking.options, options.lanes, self._threads())

    def _threads(self) -> int:
        return self._options.threads or max(1, min(THREADS, int(self._ray.cluster_resources().get("CPU", 1))))

    def _resources(self) -> dict[str, float]:
        gpus = self._ray.cluster_resources().get("GPU", 0)
        return {"num_cpus": self._threads(), **({"num_gpus": 1} if gpus else {})}

    def _workers(self, blocks: list[Any]) -> int:
        resources = self._ray.cluster_resources()
        room = int(min(resources.get(kind, 0) // need for kind, need in self._needs()))
        if room < 1:
            raise OptionError(
                f"a worker needs {self._threads()} cores, and the cluster has {resources.get('CPU', 0):g}; "
                "give --threads"
            )
        return min(self._options.workers or room, room, len(blocks))

    def _needs(self) -> list[tuple[str, float]]:
        names = {"num_cpus": "CPU", "num_gpus": "GPU"}
        return [(names[name], need) for name, need in self._resources().items()]


@contextmanager
def connected(asking: Asking, options: ClusterOptions) -> Iterator[Cluster]:
    """Connect to the cluster, or start one on this machine, and leave it at the end.

    Needs Ray (`pip install 'uhd-edge[ray]'`). Raises `OptionError` for an address where there is none.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers unless told not to
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with extra_needed("ray", "--ray"):
        import ray  # pyright: ignore[reportMissingImports]  # an extra of its own
        import ray.data  # pyright: ignore[reportMissingImports]  # an extra of its own
    address = None if options.address == LOCAL else options.address
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise OptionError(f"--ray {options.address}: no cluster there ({' '.join(str(error).split())})") from error
    try:
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # it has a handler of its own
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        yield Cluster(ray, asking, options)
    finally:
        ray.shutdown()
