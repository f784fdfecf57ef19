import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uhd_edge.runtime.budget.fitting import ASSUMED_NOISE, fit_costs, noise_of_medians


@given(
    costs=st.lists(st.floats(0, 10) | st.just(0.0), min_size=3, max_size=3).filter(lambda costs: max(costs) > 0.01),
)
def test_costs_are_found_again_from_the_times_they_make(costs: list[float]) -> None:
    features = [(1, 128, 128**2), (1, 256, 256**2), (1, 2560, 10 * 256**2), (1, 512, 2 * 256**2)]
    times = np.array(features) @ costs
    found = fit_costs(features, list(times))
    assert min(found) >= 0
    np.testing.assert_allclose(np.array(features) @ found, times, rtol=1e-6)


def test_noise_never_makes_a_cost_negative() -> None:
    falling = [(1, 100), (1, 200)]
    assert min(fit_costs(falling, [10.0, 8.0])) >= 0


def test_noise_makes_no_cost_of_large_prompts_that_were_not_measured() -> None:
    draw = random.Random(1)
    tokens = (10, 16, 48, 160)
    wildest = {False: 0.0, True: 0.0}
    for _ in range(50):
        rounds = [[(5 + 0.2 * count) * draw.lognormvariate(0, 0.4) for count in tokens] for _ in range(4)]
        medians = list(np.median(rounds, axis=0))
        for known in (False, True):
            noise = noise_of_medians(rounds) if known else 0.0
            costs = fit_costs([(1, count, count**2) for count in tokens], medians, noise=noise)
            wildest[known] = max(wildest[known], float(np.dot(costs, (1, 900, 900**2))) / (5 + 0.2 * 900))
    assert wildest[True] < 3
    assert wildest[False] > 5


def test_a_cost_that_stands_out_of_the_noise_is_kept() -> None:
    features = [(1, count, count**2) for count in (10, 40, 160, 640)]
    costs = fit_costs(features, [float(np.dot(one, (5, 0.2, 0.001))) for one in features], noise=0.03)
    assert costs == pytest.approx([5, 0.2, 0.001])


def test_the_noise_of_medians_is_found_again() -> None:
    draw = random.Random(2)
    rounds = [[100 * draw.lognormvariate(0, 0.2) for _ in range(40)] for _ in range(5)]
    medians = np.median(rounds, axis=0)
    assert noise_of_medians(rounds) == pytest.approx(float(np.std(medians / 100)), rel=0.3)
    assert noise_of_medians(rounds[:1]) == ASSUMED_NOISE
