"""95 % intervals of a mean: Wilson's for right and wrong, the bootstrap's for scores between."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

QUANTILE = 1.959963984540054  # of the normal distribution, for 95 % on both sides
RESAMPLES = 2_000
CHUNK = 100  # resamples at a time, so that a million different scores take 800 MB at most
SEED = 0  # the same scores have the same interval


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def mean_interval(scores: Sequence[float]) -> Interval:
    """Return the mean of scores, at least one, with Wilson's interval if all are 0 or 1, else the bootstrap's."""
    if all(score in (0.0, 1.0) for score in scores):
        return wilson(int(sum(scores)), len(scores))
    return bootstrap(scores)


def wilson(right: int, count: int) -> Interval:
    """Return Wilson's score interval for `right` of `count`, without continuity correction (Wilson 1927)."""
    share = right / count
    square = QUANTILE**2 / count
    middle = (share + square / 2) / (1 + square)
    half = QUANTILE / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def bootstrap(values: Sequence[float]) -> Interval:
    """Return the mean of `values` with the percentile bootstrap's interval (Efron 1979), the same every time."""
    different, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    means = resampled_means(different, counts)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(np.mean(values)), float(low), float(high))


def resampled_means(different: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Means [R] of values drawn anew, given as different values [K] and how often each is there [K].

    How often each value is drawn has a multinomial distribution, so values that are the same need not be drawn one
    by one.
    """
    random = np.random.default_rng(SEED)
    total = int(counts.sum())
    chunks = [
        random.multinomial(total, counts / total, size=CHUNK) @ different / total for _ in range(RESAMPLES // CHUNK)
    ]
    return np.concatenate(chunks)
