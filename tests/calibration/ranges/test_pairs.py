"""Weights limited in pairs: their products with any uint8 fit into 16 bits, and they cost little precision."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from uhd_edge.calibration.ranges.pairs import paired_scales, quantize_pairs, round_pairs
from uhd_edge.calibration.ranges.rounding import quantize_weight, round_weight, weight_scales

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIXTEEN_BITS = np.iinfo(np.int16)


def extreme_sums(numbers: NDArray[np.int8]) -> tuple[int, int]:
    """The least and the largest sum of two neighbouring products with any uint8 activations."""
    most = 255 * numbers[: len(numbers) // 2 * 2].astype(np.int64)
    pairs = most.reshape(-1, 2, numbers.shape[1])
    return int(np.minimum(pairs, 0).sum(axis=1).min()), int(np.maximum(pairs, 0).sum(axis=1).max())


@settings(max_examples=150, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(2, 9), st.integers(1, 4)), elements=st.floats(-3, 3, width=32)))
def test_two_neighbouring_products_always_fit_into_16_bits(weight: NDArray[np.float32]) -> None:
    scales = paired_scales(weight)
    numbers = quantize_pairs(weight, scales)
    least, largest = extreme_sums(numbers)
    assert SIXTEEN_BITS.min <= least
    assert largest <= SIXTEEN_BITS.max
    assert np.abs(numbers.astype(np.int64)).max() <= 127
    np.testing.assert_allclose(numbers * scales, round_pairs(weight), rtol=1e-6)


@pytest.mark.parametrize("signs", list(product([1, -1], repeat=2)))
def test_a_pair_that_does_not_fit_becomes_the_nearest_that_does(signs: tuple[int, int]) -> None:
    """Against all pairs of integers, tried one by one; the third weight makes the scale 1."""
    random = np.random.default_rng(0)
    places = np.arange(-127, 128)
    first, second = np.meshgrid(places, places, indexing="ij")
    same = (first * second > 0) & (np.abs(first + second) > 128)
    for exact in random.uniform(30, 127, (40, 2)).astype(np.float32) * np.float32(signs):
        weight = np.float32([[exact[0]], [exact[1]], [127], [0]])
        found = quantize_pairs(weight, np.ones(1, np.float32))[:2, 0].astype(np.float32)
        distances = np.where(same, np.inf, (first - exact[0]) ** 2 + (second - exact[1]) ** 2)
        assert np.square(found - exact).sum() == pytest.approx(distances.min(), rel=1e-5, abs=1e-4)


def test_pairs_that_fit_are_rounded_as_ever() -> None:
    random = np.random.default_rng(0)
    weight = random.uniform(-0.5, 0.5, (64, 8)).astype(np.float32)
    weight[0] = 1  # beside it stands one of at most half its size
    weight[1] = 0
    np.testing.assert_array_equal(paired_scales(weight), weight_scales(weight))
    scales = weight_scales(weight)
    np.testing.assert_array_equal(quantize_pairs(weight, scales), quantize_weight(weight, scales))


def squared_error(weight: NDArray[np.float32], rounded: NDArray[np.float32]) -> float:
    return float(np.square(weight - rounded, dtype=np.float64).sum())


@pytest.mark.parametrize("rows", [192, 3073])
@pytest.mark.parametrize("shape", ["normal", "heavy tails"])
def test_the_squared_error_is_less_than_half_that_of_7_bits(shape: str, rows: int) -> None:
    random = np.random.default_rng(0)
    weight = (random.normal if shape == "normal" else random.laplace)(size=(rows, 64)).astype(np.float32)
    usual = squared_error(weight, round_weight(weight))
    steps = np.abs(weight).max(axis=0) / 64
    seven_bits = squared_error(weight, np.rint(weight / steps).clip(-64, 64) * steps)
    found = squared_error(weight, round_pairs(weight))
    assert found < 1.8 * usual
    assert found < seven_bits / 2


def test_no_other_scale_is_better() -> None:
    """Against scales tried one by one, by the error that they really make."""
    weight = np.random.default_rng(0).normal(size=(200, 40)).astype(np.float32)
    chosen = np.square(weight - round_pairs(weight)).sum(axis=0)
    usual = weight_scales(weight)
    tried = [
        np.square(weight - quantize_pairs(weight, usual * larger) * usual * larger).sum(axis=0)
        for larger in np.linspace(1, 2, 41, dtype=np.float32)
    ]
    assert chosen.sum() < 1.05 * np.min(tried, axis=0).sum()
