"""INT8 weights whose products never overflow, not even on x86 without VNNI.

Such a processor adds two neighbouring products of an activation (uint8) and a weight (int8) in
16 bits, and what does not fit becomes the largest number that does. 255 * 128 fits. So of two
neighbours of the same sign, the magnitudes may add up to 128; of others they always do.

Few pairs exceed that: in the weights of the former uhd-tiny 0.3 to 4 of 100. Both weights of such a pair are made
smaller, and a channel with many of them gets a larger scale, if that costs less. For normally distributed
weights the squared error is 1.7 times that of a weight by itself. 7-bit weights make it 4 times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.calibration.ranges.rounding import weight_scales

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_OF_A_PAIR = 128  # times 255, the largest uint8, this is 32640

# How much larger than usual a scale may be; with twice the scale every pair fits.
LARGER = np.linspace(1, 2, 41)


def paired_scales(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Choose the scale [out] of each output channel of `weight` [in, out] that gives the least squared error.

    Rounding costs a twelfth of the squared scale for each weight, and a pair that exceeds the limit by
    some amount half its square, for both lose half of it.
    """
    usual = weight_scales(weight)
    sums, channels = _large_sums(weight / usual)
    rounding = len(weight) / 12
    losses = [
        rounding * larger**2
        + np.bincount(channels, np.square(np.maximum(sums - MOST_OF_A_PAIR * larger, 0)) / 2, len(usual))
        for larger in LARGER
    ]
    scales: NDArray[np.float32] = usual * LARGER[np.argmin(losses, axis=0)].astype(np.float32)
    return scales


def quantize_pairs(weight: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.int8]:
    """Quantize `weight` [in, out] to multiples of `scales` [out] that no pair of neighbours overflows."""
    return _limited(weight / scales).astype(np.int8)


def round_pairs(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Quantize and dequantize `weight` [in, out]."""
    scales = paired_scales(weight)
    return _limited(weight / scales) * scales


def _limited(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round `steps` [in, out] to integers, such that no two neighbours in a column add up to more than they may."""
    numbers: NDArray[np.float32] = np.rint(steps)
    even = len(steps) // 2 * 2
    first, second = numbers[0:even:2], numbers[1:even:2]
    over = (np.abs(first + second) > MOST_OF_A_PAIR) & (first * second > 0)
    where = np.nonzero(over)
    if len(where[0]):
        limit = np.copysign(np.float32(MOST_OF_A_PAIR), first[where])
        # Both lose as much: the nearest point to the exact pair among those that fit.
        moved = np.rint((steps[0:even:2][where] - steps[1:even:2][where] + limit) / 2)
        first[where], second[where] = moved, limit - moved
    return numbers


def _large_sums(steps: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return the magnitudes of the sums that are too large for a pair, and the channel of each."""
    even = len(steps) // 2 * 2
    first, second = steps[0:even:2], steps[1:even:2]
    sums = np.abs(first + second)
    pairs, channels = np.nonzero((sums > MOST_OF_A_PAIR) & (first * second > 0))
    return sums[pairs, channels], channels
