"""How long each stage takes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Add the milliseconds spent inside to `timings[stage]`; what fails is not counted."""
    start = time.perf_counter()
    yield
    timings[stage] = timings.get(stage, 0.0) + 1e3 * (time.perf_counter() - start)


class Stopwatch:
    """Counts milliseconds from when it is made; `stages` has those of each stage."""

    def __init__(self, stages: Iterable[str]) -> None:
        self.stages: dict[str, float] = dict.fromkeys(stages, 0.0)
        self._start = time.perf_counter()

    def elapsed(self) -> float:
        """Milliseconds since the start."""
        return 1e3 * (time.perf_counter() - self._start)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time inside."""
        before = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - before

    def add(self, stages: Mapping[str, float]) -> None:
        """Add the milliseconds of stages that were timed elsewhere."""
        for stage, milliseconds in stages.items():
            self.stages[stage] += milliseconds
