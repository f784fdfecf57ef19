"""Leaving out the worst linears: as few as are needed, and found with few measurements."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uhd_edge.calibration.fallback import predicted_count, put_back
from uhd_edge.calibration.measure import Agreement
from uhd_edge.calibration.ranges.plan import QuantizationPlan
from uhd_edge.runtime.bundles.manifest import Threshold

GOAL = Threshold(cosine=0.999, token_cosine=0.9)


def agreement(cosine: float, token_cosine: float = 1.0) -> Agreement:
    return Agreement(cosine, cosine, token_cosine, 0.0, "a view")


@given(
    harm=st.lists(st.floats(1e-4, 1), min_size=1, max_size=200, unique=True),
    needed=st.integers(0, 200),
    lowest=st.floats(0.5, 0.9989),
)
def test_the_worst_linears_are_left_out_as_few_as_are_needed(harm: list[float], needed: int, lowest: float) -> None:
    asked: list[int] = []

    def measure(plan: QuantizationPlan) -> Agreement:
        asked.append(len(plan.kept))
        return agreement(1.0 if len(plan.kept) >= needed else lowest)

    named = {f"linear {index}": error for index, error in enumerate(harm)}
    settled = put_back(QuantizationPlan({}, {}), agreement(1.0 if needed == 0 else lowest), named, GOAL, measure)
    count = min(needed, len(harm))
    assert settled.plan.kept == tuple(sorted(named, key=lambda name: named[name], reverse=True)[:count])
    assert settled.agreement.reaches(GOAL) == (needed <= len(harm))
    assert len(asked) == len(set(asked)) <= 2 * math.log2(len(harm)) + 2


@pytest.mark.parametrize(
    ("harm", "measured", "count"),
    [
        ([0.3, 0.1, 0.1, 0.1], agreement(0.997), 1),  # three twelfths of the squares are left
        ([0.1] * 9, agreement(0.9971), 6),
        ([0.1] * 9, agreement(0.9995, token_cosine=0.71), 6),
        ([0.2, 0.1], agreement(0.9989), 1),
        ([0.2, 0.1], agreement(-1.0), 2),
    ],
)
def test_the_first_guess_adds_up_squares_of_errors(harm: list[float], measured: Agreement, count: int) -> None:
    assert predicted_count(harm, measured, GOAL) == count
