"""A weight quantized to INT8 as it is stored, computed when written so that memory holds one at a time.

TensorRT stores the product of a graph in FP16 as FP16, too. With one scale for each output channel,
its kernels store the bare sums of integers and multiply them afterwards; such sums exceed 65504, the
largest FP16 number. With one scale for the whole weight, they multiply before they store. So these
weights have one scale, and what is left of the channel's own scale is multiplied afterwards, by the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.calibration.ranges.pairs import paired_scales, quantize_pairs
from uhd_edge.calibration.ranges.rounding import half_scales, quantize_weight, weight_scales

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True)
class ChannelScaledWeight:
    """The weight [in, out] that `read` returns, with an FP32 scale for each output channel.

    If `paired`, its products with uint8 never overflow (see `pairs.py`).
    """

    read: Callable[[], NDArray[np.float32]]
    paired: bool

    def numbers(self) -> NDArray[np.int8]:
        """Compute the INT8 values [in, out]."""
        weight = self.read()
        scales = self._scales(weight)
        return quantize_pairs(weight, scales) if self.paired else quantize_weight(weight, scales)

    def scales(self) -> NDArray[np.float32]:
        """Compute the scale of each output channel, [out]."""
        return self._scales(self.read())

    def _scales(self, weight: NDArray[np.float32]) -> NDArray[np.float32]:
        return paired_scales(weight) if self.paired else weight_scales(weight)


@dataclass(frozen=True)
class CommonScaledWeight:
    """The weight [in, out] that `read` returns, with one `scale`, a power of two.

    Its product is multiplied by `factors`, in FP16 (`half`) or in FP32.
    """

    read: Callable[[], NDArray[np.float32]]
    scale: np.float16
    half: bool

    def numbers(self) -> NDArray[np.int8]:
        """Compute the INT8 values [in, out]."""
        weight = self.read()
        return quantize_weight(weight, self._factors(weight).astype(np.float32) * np.float32(self.scale))

    def factors(self) -> NDArray[np.floating]:
        """Compute what the product is multiplied by in each output channel, [out]."""
        return self._factors(self.read())

    def _factors(self, weight: NDArray[np.float32]) -> NDArray[np.floating]:
        # A channel of zeros has no scale of its own, and the factor must not be infinite.
        factors = np.where(weight.any(axis=0), weight_scales(weight) / np.float32(self.scale), np.float32(1))
        return half_scales(factors) if self.half else factors.astype(np.float32)
