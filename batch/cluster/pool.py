"""Blocks of groups are given to whichever worker is free, and again to another one where a worker dies.

Only a few blocks are in Ray's object store at a time, however many there are: the input is read as it is answered.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from uhd_edge.batch.groups import Group
    from uhd_edge.batch.row import Row

BLOCKS_A_WORKER = 2  # one is answered there, and one waits
WINDOW = 4  # blocks for each worker that are answered before an earlier one is
MOST_DEATHS = 4  # of workers with the same block
DIED = ("RayActorError", "WorkerCrashedError", "NodeDiedError", "ObjectLostError", "OutOfMemoryError")


@dataclass(frozen=True)
class Block:
    """Groups in the object store: their `place` among the blocks, a picture of theirs, and how many died with them."""

    place: int
    groups: Any
    picture: str
    deaths: int = 0


class BlockRun:
    """One run of blocks through workers; `answer` goes through it once."""

    def __init__(self, ray: Any, workers: Sequence[Any], *, ordered: bool) -> None:
        self._ray, self._ordered, self._workers = ray, ordered, workers
        self._died = tuple(getattr(ray.exceptions, name) for name in DIED)
        self._free: deque[Any] = deque()
        self._again: deque[Block] = deque()
        self._under_way: dict[Any, tuple[Any, Block | None]] = {}  # by what Ray calls a result that is to come
        self._ready: dict[int, list[tuple[Row, ...]]] = {}
        self._read = self._told = 0  # blocks
        self._more = True

    def answer(self, blocks: Iterator[Sequence[Group]]) -> Iterator[tuple[Row, ...]]:
        """Yield the rows of each group, in the order of the groups, or else as their blocks are ready.

        Raises `ModelError` when a worker fails for a reason of its own, or one after another dies with a block.
        """
        for worker in (*self._workers,) * BLOCKS_A_WORKER:
            self._wait_until_open(worker)
        while True:
            self._hand_out(blocks)
            if not self._more and self._told == self._read:  # though workers may still be opening
                return
            done, _ = self._ray.wait(list(self._under_way), num_returns=1)
            for result in done:
                self._take(result)
            while self._ready and (not self._ordered or self._told in self._ready):
                place = self._told if self._ordered else next(iter(self._ready))
                self._told += 1
                yield from self._ready.pop(place)

    def _wait_until_open(self, worker: Any) -> None:
        result = worker.is_open.options(max_task_retries=-1).remote()
        self._under_way[result] = (worker, None)

    def _hand_out(self, blocks: Iterator[Sequence[Group]]) -> None:
        while self._free:
            block = self._again.popleft() if self._again else self._next(blocks)
            if block is None:
                return
            worker = self._free.popleft()
            self._under_way[worker.answer.remote(block.groups)] = (worker, block)

    def _next(self, blocks: Iterator[Sequence[Group]]) -> Block | None:
        if self._ordered and self._read - self._told >= WINDOW * len(self._workers):
            return None
        groups = next(blocks, None)
        if groups is None:
            self._more = False
            return None
        self._read += 1
        return Block(self._read - 1, self._ray.put(groups), groups[0].asked[0].image)

    def _take(self, result: Any) -> None:
        worker, block = self._under_way.pop(result)
        try:
            answered = self._ray.get(result)
        except self._died as error:
            if block is None:  # it could not be opened, not even again
                raise _failed(error) from error
            self._again.append(self._after_death(block, error))
            self._wait_until_open(worker)
            return
        except self._ray.exceptions.RayError as error:
            raise _failed(error) from error
        self._free.append(worker)
        if block is not None:
            self._ready[block.place] = answered

    def _after_death(self, block: Block, error: Exception) -> Block:
        if block.deaths + 1 == MOST_DEATHS:
            raise ModelError(
                f"{MOST_DEATHS} workers of the cluster died, one after another, with {block.picture} or one of the "
                f"pictures behind it ({_reason(error)}); they may need more memory: give fewer --lanes or --workers"
            ) from error
        return replace(block, deaths=block.deaths + 1)


def _failed(error: Exception) -> ModelError:
    return ModelError(f"a worker of the cluster failed: {_reason(error)}")


def _reason(error: Exception) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
