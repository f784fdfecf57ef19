"""An INT8 or FP8 product as TensorRT's kernels compute it, and how many of its sums FP16 cannot hold.

Read from engines that TensorRT-RTX 1.7 built for compute capabilities 7.5 to 12.0. The kernel adds up
integers in 32 bits, or products of FP8 numbers in FP32, multiplies the sum by one FP32 number and stores
it in the graph's type. If the weight has one scale, the number is the product of both scales. If it has a
scale for each output channel and the type is FP16, the number is 1: the sums are stored bare, and the next
kernel multiplies them by the products of the scales, which are rounded to FP16 themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.calibration.simulation.operators import multiply

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_HALF = 65504.0
SMALLEST_NORMAL_HALF = 2.0**-14


@dataclass(frozen=True)
class Dequantized:
    """INT8 or FP8 values [.., K] or [K, out] and their scale: one number, or one for each output channel [out].

    Of NVFP4 they are the numbers times the scales of their blocks.
    """

    levels: NDArray[Any]
    scale: NDArray[np.floating[Any]]
    cast_to: np.dtype[Any] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that the graph states: the scale's, or `cast_to`, to which a Cast behind it turns them."""
        return self.cast_to or self.scale.dtype

    @property
    def values(self) -> NDArray[Any]:
        """The numbers that they stand for."""
        return (self.levels.astype(np.float32) * self.scale.astype(np.float32)).astype(self.dtype)


@dataclass(frozen=True)
class SumCount:
    """The sums of one product: how many, how many `overflow` in FP16, and the largest magnitude that is stored.

    `subnormal_scales` counts the products of scales that FP16 holds with fewer digits, or as zero.
    """

    sums: int = 0
    overflow: int = 0
    largest: float = 0.0
    subnormal_scales: int = 0

    def __add__(self, other: SumCount) -> SumCount:
        return SumCount(
            self.sums + other.sums,
            self.overflow + other.overflow,
            max(self.largest, other.largest),
            max(self.subnormal_scales, other.subnormal_scales),
        )


def quantized_product(left: Dequantized, right: Dequantized) -> tuple[NDArray[Any], SumCount]:
    """Multiply [.., T, K] by [K, out] -> [.., T, out] in the type that the graph states, and count the sums."""
    # FP32 adds up integers exactly to 2**24, and loses one part in 2**24 beyond: FP16 shows neither.
    sums = multiply(left.levels.astype(np.float32), right.levels.astype(np.float32))
    factors = left.scale.astype(np.float32) * right.scale.astype(np.float32)
    if left.dtype != np.float16:
        return sums * factors, SumCount(sums.size)
    bare = right.scale.ndim > 0
    with np.errstate(over="ignore", invalid="ignore"):
        stored = (sums if bare else sums * factors).astype(np.float16)
        halved = factors.astype(np.float16)
        result = (stored.astype(np.float32) * halved.astype(np.float32)).astype(np.float16) if bare else stored
    count = SumCount(
        sums=sums.size,
        overflow=int(np.isinf(stored).sum()),
        largest=float(np.abs(sums if bare else sums * factors).max(initial=0)),
        subnormal_scales=int((np.abs(halved) < SMALLEST_NORMAL_HALF).sum()) if bare else 0,
    )
    return result, count
