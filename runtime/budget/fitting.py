"""Fitting costs to measured times: as many different costs as the times can tell apart.

Few sizes are measured, and questions may be much larger. A cost that merely follows the noise, such
as that of a token's square, would make them many times too expensive.
"""

from __future__ import annotations

import itertools
import math
import statistics
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

# Without a second round nothing is known about the noise.
ASSUMED_NOISE = 0.1

# A model with another cost must fit better by so many variances of the noise: a chance of one in 20 with noise alone.
WORTH_A_COST = 3.84


ROUNDING = 1e-9  # a share of a time


def fit_costs(features: Sequence[tuple[float, ...]], times: Sequence[float], *, noise: float = 0.0) -> list[float]:
    """Fit costs, none below zero, to `times` [n] of `features` [n, k], by the least relative error.

    `noise` is the relative standard deviation of the times; a cost that makes no more difference
    than it may be is zero. Of three costs the last, of something squared, comes only with the one
    before it. They are so few that every subset of nonzero ones is tried.
    """
    wanted = np.array(times)
    scaled = np.array(features) / wanted[:, None]
    count = scaled.shape[1]
    best, least = np.zeros(count), math.inf
    for size in range(1, count + 1):
        for chosen in itertools.combinations(range(count), size):
            if 2 in chosen and 1 not in chosen:
                continue
            costs = np.zeros(count)
            costs[list(chosen)] = np.linalg.lstsq(scaled[:, chosen], np.ones(len(wanted)), rcond=None)[0]
            error = float(((scaled @ costs - 1) ** 2).sum()) + size * WORTH_A_COST * noise**2
            if (costs * scaled.max(axis=0) > -ROUNDING).all() and error < least:
                best, least = costs, error
    return [max(0.0, float(cost)) for cost in best]


def noise_of_medians(rounds: Sequence[Sequence[float]]) -> float:
    """Estimate the relative standard deviation of the medians of several rounds [rounds, n] of times."""
    if len(rounds) < 2:
        return ASSUMED_NOISE
    groups = [list(group) for group in zip(*rounds, strict=True)]
    deviations = [time / statistics.median(group) - 1 for group in groups for time in group]
    # The median of a few normal deviates varies by a quarter more than their mean.
    return 1.25 * math.sqrt(statistics.fmean(deviation**2 for deviation in deviations) / len(rounds))
