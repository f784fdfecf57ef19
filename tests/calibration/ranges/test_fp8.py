"""FP8 numbers: rounded as torch rounds them, with scales that lose nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from uhd_edge.calibration.ranges.fp8 import fp8_scale, round_to_fp8, to_fp8


def test_every_fp16_number_becomes_the_fp8_number_that_torch_makes_of_it() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    values = halves[np.isfinite(halves)].astype(np.float32)
    expected = torch.from_numpy(values).clamp(-448, 448).to(torch.float8_e4m3fn).float().numpy()
    np.testing.assert_array_equal(to_fp8(values, np.float16(1)).astype(np.float32), expected)


def test_what_exceeds_the_range_becomes_the_largest_number_and_nan_stays() -> None:
    found = round_to_fp8(np.array([1e30, -np.inf, np.nan], np.float32), np.float16(0.5))
    np.testing.assert_array_equal(found, [224, -224, np.nan])


@given(largest=st.floats(1e-4, 1e6))
def test_a_scale_is_a_power_of_two_in_fp16_that_uses_the_upper_half_of_the_range(largest: float) -> None:
    scale = fp8_scale(largest)
    assert scale.dtype == np.float16
    assert np.frexp(scale)[0] == 0.5
    assert 224 < largest / float(scale) <= 448


@pytest.mark.parametrize("largest", [0.0, 1e-30, float("nan")])
def test_a_tensor_of_nothing_has_a_scale_too(largest: float) -> None:
    assert fp8_scale(largest) > 0


@given(seed=st.integers(0, 2**32 - 1), exponent=st.integers(-12, 12))
def test_a_number_is_off_by_a_sixteenth_at_most_whatever_its_size(seed: int, exponent: int) -> None:
    values = (np.random.default_rng(seed).standard_normal(100) * 2.0**exponent).astype(np.float32)
    scale = fp8_scale(float(np.abs(values).max()))
    error = np.abs(round_to_fp8(values, scale) - values)
    smallest_normal = 2.0**-6 * float(scale)
    assert (error <= np.maximum(np.abs(values), smallest_normal) / 16).all()
