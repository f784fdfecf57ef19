"""INT8 arithmetic: ranges, scales, and values after quantizing and dequantizing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 127  # symmetric: -127..127, so that a weight and its negative round the same way
STEPS = 255  # asymmetric: 0..255
LARGEST_SUM = 128 * 127  # of one product of an activation and a weight
HALF_LARGEST = 65504.0  # the largest FP16 number; 2**-14 is the smallest normal one


@dataclass(frozen=True)
class Range:
    """The range that is covered for an activation, and the `method` that chose it."""

    low: float
    high: float
    method: str

    @property
    def largest(self) -> float:
        """The largest magnitude in it."""
        return max(abs(self.low), abs(self.high))

    def symmetric_scale(self) -> np.float32:
        """Compute the scale of int8 with zero point 0, as TensorRT requires."""
        return _not_zero(self.largest / LARGEST)

    def asymmetric(self) -> tuple[np.float32, np.uint8]:
        """Compute scale and zero point of uint8; zero is always representable."""
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        scale = _not_zero((high - low) / STEPS)
        return scale, np.uint8(np.clip(round(-low / float(scale)), 0, STEPS))


def round_activation(values: NDArray[np.float32], span: Range, *, symmetric: bool) -> NDArray[np.float32]:
    """Quantize and dequantize `values` as a Q/DQ pair does."""
    scale, zero = (span.symmetric_scale(), 0) if symmetric else span.asymmetric()
    least, most = (-LARGEST - 1 - int(zero), LARGEST) if symmetric else (-int(zero), STEPS - int(zero))
    rounded: NDArray[np.float32] = np.clip(np.rint(values / scale), least, most).astype(np.float32) * scale
    return rounded


def weight_scales(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute one symmetric scale [out] per output channel of `weight` [in, out]; 1 for a channel of zeros."""
    scales = np.abs(weight).max(axis=0) / np.float32(LARGEST)
    return np.where(scales < np.finfo(np.float32).tiny, 1, scales).astype(np.float32)


def half_scales(scales: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round scales up to FP16, so that no weight is clipped."""
    half = scales.astype(np.float16)
    return np.where(half.astype(np.float32) < scales, np.nextafter(half, np.float16(np.inf)), half)


def half_activation_scale(scale: np.float32) -> np.float16:
    """Round the scale of an FP16 activation to FP16: neither to zero, nor beyond what FP16 numbers need."""
    return max(np.float16(min(float(scale), HALF_LARGEST / LARGEST)), np.finfo(np.float16).smallest_subnormal)


def common_scale(activation: np.float16, width: int) -> np.float16:
    """Compute the power of two that is the scale of a whole weight [`width`, out] whose product is stored in FP16.

    TensorRT stores sums of integers times `activation` times this scale. Their product lies between
    2**-14 and 2**-13: no sum of up to 33009 numbers exceeds 65504, and even a sum of 1 is a normal FP16
    number. Only wider weights get a smaller scale.
    """
    _, exponent = np.frexp(np.float32(activation))
    most = min(-13, int(np.floor(np.log2(HALF_LARGEST / LARGEST_SUM / width))))
    scale = np.float16(np.ldexp(np.float32(1), most - int(exponent)))
    return max(scale, np.finfo(np.float16).smallest_subnormal)


def quantize_weight(weight: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.int8]:
    """Quantize `weight` [in, out] to integer multiples of `scales` [out]."""
    numbers: NDArray[np.int8] = np.clip(np.rint(weight / scales), -LARGEST, LARGEST).astype(np.int8)
    return numbers


def round_weight(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Quantize and dequantize `weight` [in, out]."""
    scales = weight_scales(weight)
    return quantize_weight(weight, scales).astype(np.float32) * scales


def _not_zero(scale: float) -> np.float32:
    """Replace a zero scale: a tensor that is zero on every picture still needs one."""
    return np.float32(scale) if scale > np.finfo(np.float32).tiny else np.float32(1 / LARGEST)
