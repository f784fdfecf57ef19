"""The quantization plan: the result of a calibration, before any graph is written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.calibration.ranges.rounding import Range
    from uhd_edge.calibration.ranges.smoothing import Smoothing
    from uhd_edge.engines.onnxruntime import Int8Products
    from uhd_edge.runtime.bundles.manifest import GraphKind
    from uhd_edge.runtime.modes import Precision

CalibratedPrecision: TypeAlias = Literal["int8", "fp8", "nvfp4"]
CALIBRATED_PRECISIONS: tuple[CalibratedPrecision, ...] = get_args(CalibratedPrecision)


@dataclass(frozen=True)
class Flavour:
    """One kind of quantized graph: its numbers, the precision of its base graph, and how activations are rounded.

    `symmetric` means a zero point of 0, the only kind TensorRT supports; otherwise activations are uint8. `fused`
    means ONNX Runtime's own operators where they are faster (see `uhd_edge.calibration.graphs.fused_operators`).
    """

    kind: GraphKind
    base: Precision
    symmetric: bool
    fused: bool = False
    numbers: CalibratedPrecision = "int8"

    @property
    def products(self) -> Int8Products:
        """How products are computed when measuring: in integers, or simulated for a graph meant for another engine."""
        return "simulated" if self.symmetric else "integers"


# On a CPU with VNNI or AMX, ONNX Runtime has fast products for uint8 x int8. Static ranges are also
# faster than its dynamic quantization, which computes ranges in every run: 63 instead of 105 ms for
# the products of two full-size layers and 1024 patches.
FOR_CPU = Flavour("int8", "fp32", symmetric=False, fused=True)
FOR_TENSORRT = Flavour("int8-tensorrt", "fp16", symmetric=True)
FLAVOURS = (FOR_CPU, FOR_TENSORRT)
# FP8 and NVFP4 products are TensorRT's alone: no CPU has them.
FP8_FOR_TENSORRT = Flavour("fp8", "fp16", symmetric=True, numbers="fp8")
NVFP4_FOR_TENSORRT = Flavour("nvfp4", "fp16", symmetric=True, numbers="nvfp4")


def flavours_of(precisions: Sequence[CalibratedPrecision]) -> tuple[Flavour, ...]:
    """Return the kinds of graph that `precisions` come in."""
    return tuple(one for one in (*FLAVOURS, FP8_FOR_TENSORRT, NVFP4_FOR_TENSORRT) if one.numbers in precisions)


@dataclass(frozen=True, eq=False)
class QuantizationPlan:
    """The smoothing and the range of each site, and the linears that are not quantized (`kept`), all by name.

    `shifts` [out] are added to the biases of the linears that are quantized (see `biases.py`).
    """

    smoothing: Mapping[str, Smoothing]
    ranges: Mapping[str, Range]
    kept: tuple[str, ...] = ()
    shifts: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def keeping(self, *linears: str) -> QuantizationPlan:
        """Return the plan with more linears left unquantized."""
        return replace(self, kept=(*self.kept, *linears))
