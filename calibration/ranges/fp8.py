"""FP8 arithmetic: scales, and values after quantizing and dequantizing.

An FP8 number (E4M3) has 4 bits of exponent and 3 of mantissa: it is up to 1/16 off, from 2**-6 to 448, whatever
its size. TensorRT divides by one scale a tensor. Ours are powers of two, so that dividing loses nothing, and
FP16 holds them exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FP8 = ml_dtypes.float8_e4m3fn
LARGEST = 448.0
SMALLEST_SCALE = -24  # exponent of the smallest number of FP16


def fp8_scale(largest: float) -> np.float16:
    """Compute the power of two that brings `largest` to at most 448, and above half of that where FP16 has it."""
    if not largest > 0:
        return np.float16(1)
    exponent = int(np.ceil(np.log2(np.float64(largest) / LARGEST)))
    return np.float16(np.ldexp(1.0, max(exponent, SMALLEST_SCALE)))


def to_fp8(values: NDArray[np.floating[Any]], scale: np.floating[Any] | NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Divide by `scale` and round to the nearest FP8 number, ties to even; what is beyond 448 becomes 448."""
    levels = np.asarray(values, np.float32) / np.float32(scale)
    rounded: NDArray[Any] = np.clip(levels, -LARGEST, LARGEST).astype(FP8)
    return rounded


def round_to_fp8(values: NDArray[np.float32], scale: np.floating[Any]) -> NDArray[np.float32]:
    """Quantize and dequantize `values`."""
    return to_fp8(values, scale).astype(np.float32) * np.float32(scale)
