"""NVFP4: each number is the nearest of its block's fifteen, and blocks use their range."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from uhd_edge.calibration.ranges.nvfp4 import BLOCK, nvfp4_scale, round_to_nvfp4, to_nvfp4

MAGNITUDES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def random_blocks(seed: int, exponent: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    sizes = 2.0 ** random.integers(-4, 3, (6, 4, 1))  # blocks of different sizes
    return (random.standard_normal((6, 4, BLOCK)) * sizes * 2.0**exponent).reshape(6, -1).astype(np.float32)


@given(seed=st.integers(0, 2**32 - 1), exponent=st.integers(-12, 6))
def test_every_number_is_the_nearest_one_of_its_block(seed: int, exponent: int) -> None:
    values = random_blocks(seed, exponent)
    blocks = to_nvfp4(values, nvfp4_scale(float(np.abs(values).max())))
    steps = np.repeat(blocks.scales.astype(np.float64) * float(blocks.scale), BLOCK, axis=-1)[..., None]
    possible = np.concatenate([-MAGNITUDES, MAGNITUDES]) * steps
    nearest = np.abs(possible - values[..., None]).min(axis=-1)
    found = np.abs(blocks.values.astype(np.float64) - values)
    np.testing.assert_allclose(found, nearest, rtol=1e-5, atol=1e-6 * float(np.abs(values).max()))


@given(seed=st.integers(0, 2**32 - 1), exponent=st.integers(-12, 6))
def test_the_largest_number_of_a_block_is_off_by_a_sixteenth_and_the_tensors_hardly(seed: int, exponent: int) -> None:
    values = random_blocks(seed, exponent)
    rounded = round_to_nvfp4(values, nvfp4_scale(float(np.abs(values).max())))
    by_block, exact = (np.abs(array).reshape(-1, BLOCK) for array in (rounded, values))
    largest = exact.max(axis=1)
    assert (np.abs(by_block.max(axis=1) - largest) <= largest / 15).all()
    assert by_block.max() == np.float32(by_block.max())
    assert abs(by_block.max() - largest.max()) <= largest.max() * 1e-5


def test_blocks_of_zeros_stay_zeros_and_numbers_beyond_the_calibrated_range_become_its_end() -> None:
    assert not round_to_nvfp4(np.zeros((2, BLOCK), np.float32), nvfp4_scale(0.0)).any()
    beyond = np.full((1, BLOCK), 30.0, np.float32)
    np.testing.assert_allclose(round_to_nvfp4(beyond, nvfp4_scale(10.0)), 10.0, rtol=1e-5)


def test_no_view_of_no_tokens_is_an_error() -> None:
    assert to_nvfp4(np.zeros((1, 0, 4, 32), np.float32), np.float32(1)).values.shape == (1, 0, 4, 32)
