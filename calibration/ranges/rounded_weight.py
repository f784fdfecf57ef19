"""A weight as INT8 numbers, as it is stored: made when it is written, so that one at a time is in memory."""

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

    A `balanced` one is divided by a power of two per output channel, so that its product
    stays within FP16; `powers_of_two` multiply the product back.
    """

    read: Callable[[], NDArray[np.float32]]
    half: bool
    balanced: bool

    def numbers(self) -> NDArray[np.int8]:
        """The INT8 numbers [in, out]."""
        weight = self._divided()
        return quantize_weight(weight, self._scales_of(weight).astype(np.float32))

    def scales(self) -> NDArray[np.floating]:
        """What the numbers of each output channel are multiples of, [out]."""
        return self._scales_of(self._divided())

    def powers_of_two(self) -> NDArray[np.float32]:
        """What each output channel was divided by, [out]."""
        return np.ldexp(np.float32(1), balancing_exponents(weight_scales(self.read())))

    def _divided(self) -> NDArray[np.float32]:
        weight = self.read()
        return np.ldexp(weight, -balancing_exponents(weight_scales(weight))) if self.balanced else weight

    def _scales_of(self, weight: NDArray[np.float32]) -> NDArray[np.floating]:
        scales = weight_scales(weight)
        return half_scales(scales) if self.half else scales
