"""How long each stage takes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Add the milliseconds spent inside to `timings[stage]`; what fails is not counted."""
    start = time.perf_counter()
    yield
    timings[stage] = timings.get(stage, 0.0) + 1e3 * (time.perf_counter() - start)
