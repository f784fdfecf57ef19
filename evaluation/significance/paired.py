"""Whether two settings differ on the same questions, or whether it is chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.evaluation.significance.intervals import CHUNK, SEED, Interval, bootstrap

if TYPE_CHECKING:
    from collections.abc import Sequence

FLIPS = 10_000
CHANCE = 0.05


@dataclass(frozen=True)
class Comparison:
    """A setting beside another on the same questions.

    `difference` is the mean of the second's scores minus the first's. `better` and `worse` count questions that the
    second did better or worse. `probability` is how often a difference as large comes about by chance where there is
    none: McNemar's exact test if all scores are 0 or 1 (`test` is "mcnemar"), else a sign-flip permutation test.
    """

    difference: Interval
    better: int
    worse: int
    probability: float
    test: str

    @property
    def is_noise(self) -> bool:
        """Whether the difference may be chance, at 5 %."""
        return self.probability >= CHANCE


def compare(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare the scores of two settings, in the order of the same questions, at least one."""
    differences = [b - a for a, b in zip(first, second, strict=True)]
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    if all(score in (0.0, 1.0) for score in (*first, *second)):
        return Comparison(bootstrap(differences), better, worse, mcnemar(better, worse), "mcnemar")
    return Comparison(bootstrap(differences), better, worse, sign_flip(differences), "sign-flip")


def mcnemar(better: int, worse: int) -> float:
    """Return the two-sided probability of McNemar's exact test (McNemar 1947), by the numbers of discordant pairs."""
    count, fewer = better + worse, min(better, worse)
    ways = term = 1
    for drawn in range(fewer):
        term = term * (count - drawn) // (drawn + 1)
        ways += term
    return min(1.0, 2 * ways / (1 << count))


def sign_flip(differences: Sequence[float]) -> float:
    """Return how often a mean as far from 0 comes about if each difference has either sign by chance.

    Fisher's randomization test for pairs with 10,000 draws, the same every time. The observed one counts as a draw, so
    the least is 0.0001.
    """
    sizes, counts = np.unique(np.abs(np.asarray(differences, np.float64)), return_counts=True)
    observed = abs(float(np.sum(differences))) * (1 - 1e-9)  # sums in another order differ in their last bits
    random = np.random.default_rng(SEED)
    as_far = 0
    for _ in range(FLIPS // CHUNK):
        positive = random.binomial(counts, 0.5, size=(CHUNK, len(counts)))
        as_far += int(np.count_nonzero(np.abs((2 * positive - counts) @ sizes) >= observed))
    return (as_far + 1) / (FLIPS + 1)
