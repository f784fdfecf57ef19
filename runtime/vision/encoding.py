"""Views become embeddings: those of one size go through the engines together."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from uhd_edge.runtime.vision.vision_engines import VisionEngines, encode_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.runtime.vision.slicing import View

# Patches that go through the encoder at once. A real-size tower needs about 0.17 GB for every
# 1024 of them, and on a CPU two 448 x 448 views at a time are as fast as nine.
BATCH_PATCHES = 2560


def view_names(count: int) -> list[str]:
    """Name the views of an image for messages, in their order."""
    return ["the thumbnail", *(f"slice {number} of {count - 1}" for number in range(1, count))]


def encode_views(
    engines: VisionEngines, views: tuple[View, ...], timings: dict[str, float]
) -> list[NDArray[np.float32]]:
    """Return the embeddings [tokens, d_llm] of each view, in the order of the views.

    Adds the milliseconds of its stages to `timings`; raises `EngineError` as `encode_batch` does.
    """
    embeddings = dict(encode_some(engines, views, range(len(views)), timings))
    return [embeddings[index] for index in range(len(views))]


def encode_some(
    engines: VisionEngines, views: tuple[View, ...], indices: Iterable[int], timings: dict[str, float]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Encode only the views with these indices, batch by batch; yields (index, embeddings) in any order."""
    names = view_names(len(views))
    for batch in _batches(views, indices):
        encoded = encode_batch(engines, [views[index] for index in batch], [names[index] for index in batch], timings)
        yield from zip(batch, encoded, strict=True)


def number_of_runs(counts: Iterable[int]) -> int:
    """How often the engines run for views of these patch counts."""
    return sum(math.ceil(views / views_at_once(count)) for count, views in Counter(counts).items())


def _batches(views: tuple[View, ...], indices: Iterable[int]) -> Iterator[list[int]]:
    """Group the indices of views that go through the engines together: equal patch counts, bounded memory."""
    by_count: dict[int, list[int]] = defaultdict(list)
    for index in indices:
        by_count[views[index].rows * views[index].columns].append(index)
    for count, of_count in by_count.items():
        size = views_at_once(count)
        for start in range(0, len(of_count), size):
            yield of_count[start : start + size]


def views_at_once(count: int) -> int:
    """How many views of `count` patches go through the engines in one run."""
    return max(1, BATCH_PATCHES // count)
