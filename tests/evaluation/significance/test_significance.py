"""Intervals and tests give the values of the literature, and hold what they promise on drawn scores."""

from __future__ import annotations

import numpy as np
import pytest

from uhd_edge.evaluation.significance.intervals import bootstrap, mean_interval, wilson
from uhd_edge.evaluation.significance.paired import compare, mcnemar, sign_flip


# Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I.
@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_that_of_newcombes_table(right: int, count: int, low: float, high: float) -> None:
    interval = wilson(right, count)
    assert (interval.low, interval.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert mean_interval([1.0] * right + [0.0] * (count - right)) == interval


# statsmodels' test of its exact test, with the values of VassarStats.
@pytest.mark.parametrize(
    ("better", "worse", "probability"),
    [
        (121, 59, 0.000004),
        (70, 59, 0.378688),
        (80, 59, 0.089452),
        (30, 60, 0.00206),
        (10, 30, 0.002221),
        (10, 10, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemars_test_is_that_of_vassarstats(better: int, worse: int, probability: float) -> None:
    assert mcnemar(better, worse) == pytest.approx(probability, abs=6e-7)


def test_the_bootstrap_agrees_with_the_normal_interval_of_many_scores() -> None:
    scores = np.random.default_rng(1).beta(2, 3, 4000)
    interval = bootstrap(list(scores))
    half = 1.96 * scores.std() / np.sqrt(len(scores))
    assert interval.mean == pytest.approx(scores.mean())
    assert interval.low == pytest.approx(scores.mean() - half, abs=half / 5)
    assert interval.high == pytest.approx(scores.mean() + half, abs=half / 5)
    assert bootstrap(list(scores)) == interval


def test_a_difference_is_noise_until_enough_questions_say_otherwise() -> None:
    first = [1.0] * 90 + [0.0] * 10
    barely = compare(first, [0.0] * 4 + first[4:])
    assert (barely.better, barely.worse, barely.is_noise) == (0, 4, True)
    assert barely.difference.mean == pytest.approx(-0.04)
    assert barely.difference.low < -0.04 < barely.difference.high <= 0
    assert not compare(first, [0.0] * 6 + first[6:]).is_noise
    assert compare(first, first).probability == 1


def test_scores_between_are_tested_by_flipping_signs() -> None:
    compared = compare([0.5, 1.0, 0.0], [0.6, 1.0, 0.0])
    assert (compared.test, compared.better, compared.worse, compared.probability) == ("sign-flip", 1, 0, 1.0)
    # Of five differences with one sign, a sum as far from 0 comes with two of 32 draws.
    assert sign_flip([0.1, 0.2, 0.3, 0.4, 0.5]) == pytest.approx(2 / 32, abs=0.01)
    assert sign_flip([0.3] * 40) < 0.001
