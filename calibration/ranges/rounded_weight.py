"""A weight quantized to INT8 as it is stored, computed when written so that memory holds one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.calibration.ranges.rounding import balancing_exponents, half_scales, quantize_weight, weight_scales

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True)
class RoundedWeight:
    """The weight [in, out] that `read` returns, for a graph whose scales are FP16 (`half`) or FP32.

    A `balanced` weight is divided by a power of two per output channel, so that its product
    fits into FP16; the product is multiplied by `powers_of_two` afterwards.
    """

    read: Callable[[], NDArray[np.float32]]
    half: bool
    balanced: bool

    def numbers(self) -> NDArray[np.int8]:
        """Compute the INT8 values [in, out]."""
        weight = self._divided()
        return quantize_weight(weight, self._compute_scales(weight).astype(np.float32))

    def scales(self) -> NDArray[np.floating]:
        """Compute the scale of each output channel, [out]."""
        return self._compute_scales(self._divided())

    def powers_of_two(self) -> NDArray[np.float32]:
        """Compute the power of two that each output channel was divided by, [out]."""
        return np.ldexp(np.float32(1), balancing_exponents(weight_scales(self.read())))

    def _divided(self) -> NDArray[np.float32]:
        weight = self.read()
        return np.ldexp(weight, -balancing_exponents(weight_scales(weight))) if self.balanced else weight

    def _compute_scales(self, weight: NDArray[np.float32]) -> NDArray[np.floating]:
        scales = weight_scales(weight)
        return half_scales(scales) if self.half else scales
