"""Sums of INT8 products in FP16: where they overflow, and that one scale for a weight keeps them in range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uhd_edge.calibration.ranges.rounded_weight import CommonScaledWeight
from uhd_edge.calibration.ranges.rounding import common_scale, half_activation_scale, half_scales, weight_scales
from uhd_edge.calibration.simulation.products import Dequantized, quantized_product

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDEST = 17216  # of the real compressor's second product

HALVES = st.floats(float(np.finfo(np.float16).smallest_subnormal), 515, width=16)  # 515 times 127 is the end of FP16


@given(activation=HALVES, width=st.integers(1, 33009))
def test_no_sum_of_any_numbers_overflows_and_a_sum_of_one_keeps_its_digits(activation: float, width: int) -> None:
    factor = activation * float(common_scale(np.float16(activation), width))
    assert 128 * 127 * width * factor <= 65504
    assert factor >= 2.0**-14


def test_a_wider_weight_than_any_of_ours_gets_a_smaller_scale() -> None:
    factor = float(common_scale(np.float16(1), 10**6))
    assert 128 * 127 * 10**6 * factor <= 65504


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0, 6e4])
def test_an_activation_has_a_scale_in_fp16(scale: float) -> None:
    assert 0 < half_activation_scale(np.float32(scale)) <= 65504


def large_numbers(width: int) -> tuple[Dequantized, NDArray[np.float32]]:
    """Activations [3, width] at the ends of their range, and a weight [width, 8] that adds them all up."""
    random = np.random.default_rng(0)
    signs = random.choice([-1, 1], width)
    levels = np.stack([127 * signs, -127 * signs, random.integers(-128, 128, width)]).astype(np.int8)
    weight = signs[:, None] * np.geomspace(1e-4, 2e-3, 8) * random.uniform(0.5, 1, (width, 8))
    return Dequantized(levels, np.array(half_activation_scale(np.float32(0.004)))), weight.astype(np.float32)


def test_scales_of_channels_overflow_and_the_count_says_so() -> None:
    activations, weight = large_numbers(WIDEST)
    scales = half_scales(weight_scales(weight))
    numbers = np.rint(weight / scales.astype(np.float32)).astype(np.int8)
    product, count = quantized_product(activations, Dequantized(numbers, scales))
    assert not np.isfinite(product[:2]).any()
    assert count.overflow >= 16
    assert count.largest > 1e8
    assert count.sums == 24
    assert count.subnormal_scales == 8


@pytest.mark.parametrize("half", [True, False])
def test_one_scale_for_the_weight_does_not_overflow_and_the_product_is_right(half: bool) -> None:
    activations, weight = large_numbers(WIDEST)
    scale = common_scale(activations.scale[()], WIDEST)
    rounded = CommonScaledWeight(lambda: weight, scale, half=half)
    product, count = quantized_product(activations, Dequantized(rounded.numbers(), np.array(scale)))
    assert (count.overflow, count.subnormal_scales) == (0, 0)
    assert count.largest <= 65504
    exact = (activations.levels * np.float64(activations.scale)) @ weight.astype(np.float64)
    found = product.astype(np.float64) * rounded.factors().astype(np.float64)
    np.testing.assert_allclose(found[:2], exact[:2], rtol=2e-3)  # weights are rounded to 127 steps


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), exponent=st.integers(-20, 4))
def test_channels_of_all_sizes_and_of_zeros_keep_a_finite_factor(seed: int, exponent: int) -> None:
    random = np.random.default_rng(seed)
    weight = (random.standard_normal((16, 6)) * 2.0**exponent * [1, 0.1, 0.01, 1, 0, 1]).astype(np.float32)
    rounded = CommonScaledWeight(lambda: weight, common_scale(np.float16(0.05), 16), half=True)
    factors = rounded.factors().astype(np.float64)
    assert np.isfinite(factors).all()
    assert (factors > 0).all()
    steps = factors * float(rounded.scale)
    assert (np.abs(rounded.numbers() * steps - weight) <= steps * 0.501).all()


def test_fp32_scales_give_fp32_products_that_cannot_overflow() -> None:
    activations, weight = large_numbers(64)
    scales = weight_scales(weight)
    numbers = np.rint(weight / scales).astype(np.int8)
    full = Dequantized(activations.levels, activations.scale.astype(np.float32))
    product, count = quantized_product(full, Dequantized(numbers, scales))
    assert product.dtype == np.float32
    assert count.overflow == 0
    exact = full.values.astype(np.float64) @ (numbers * scales.astype(np.float64))
    np.testing.assert_allclose(product, exact, rtol=1e-5, atol=1e-6)
