"""NVFP4 arithmetic: blocks of 16 numbers of 4 bits, a scale in FP8 for each block, and one in FP32 for the tensor.

A number (E2M1) is one of 0, 0.5, 1, 1.5, 2, 3, 4, 6, or its negative. A weight [in, out] has its blocks along `in`,
the axis that a product adds up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from uhd_edge.calibration.ranges.fp8 import FP8
from uhd_edge.calibration.ranges.fp8 import LARGEST as LARGEST_FP8

if TYPE_CHECKING:
    from numpy.typing import NDArray

FP4 = ml_dtypes.float4_e2m1fn
LARGEST = 6.0
BLOCK = 16


@dataclass(frozen=True)
class Blocks:
    """Numbers in NVFP4: `levels` of E2M1 [.., K], `scales` in FP8 [.., K / 16], and the tensor's `scale` in FP32."""

    levels: NDArray[Any]
    scales: NDArray[Any]
    scale: np.float32

    @property
    def values(self) -> NDArray[np.float32]:
        """What they stand for, [.., K]."""
        scales: NDArray[np.float32] = self.scales.astype(np.float32) * self.scale
        values: NDArray[np.float32] = self.levels.astype(np.float32) * np.repeat(scales, BLOCK, axis=-1)
        return values


def nvfp4_scale(largest: float) -> np.float32:
    """Compute the scale of a tensor, so that the block with the `largest` number has the largest FP8 scale."""
    return np.float32(largest / LARGEST / LARGEST_FP8) if largest > 0 else np.float32(1)


def to_nvfp4(values: NDArray[np.floating[Any]], scale: np.float32) -> Blocks:
    """Round `values` [.., K], K a multiple of 16, to the nearest numbers of blocks along the last axis."""
    blocks = np.asarray(values, np.float32).reshape(*values.shape[:-1], values.shape[-1] // BLOCK, BLOCK)
    wanted = np.abs(blocks).max(axis=-1) / np.float32(LARGEST) / scale
    scales = np.minimum(wanted, np.float32(LARGEST_FP8)).astype(FP8)
    steps = scales.astype(np.float32)[..., None] * scale
    levels = np.divide(blocks, steps, out=np.zeros_like(blocks), where=steps > 0)
    return Blocks(np.clip(levels, -LARGEST, LARGEST).astype(FP4).reshape(values.shape), scales, scale)


def round_to_nvfp4(values: NDArray[np.float32], scale: np.float32) -> NDArray[np.float32]:
    """Quantize and dequantize `values` [.., K]; if K is no multiple of 16, they stay as they are."""
    return to_nvfp4(values, scale).values if values.shape[-1] % BLOCK == 0 else values
