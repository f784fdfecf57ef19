"""What is to become of every site and linear: the result of a calibration, before any graph is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.calibration.ranges.rounding import Range
    from uhd_edge.calibration.ranges.smoothing import Smoothing
    from uhd_edge.engines.onnxruntime import Int8Products
    from uhd_edge.runtime.bundles.manifest import GraphKind
    from uhd_edge.runtime.modes import Precision


@dataclass(frozen=True)
class Flavour:
    """One kind of INT8 graph: what it is built on, and whether activations are int8 or uint8.

    `symmetric` means int8 with zero point 0, the only thing TensorRT takes. `fused` means
    ONNX Runtime's own operators where they are faster (see `uhd_edge.calibration.graphs.fused_operators`).
    """

    kind: GraphKind
    base: Precision
    symmetric: bool
    fused: bool = False

    @property
    def products(self) -> Int8Products:
        """How the graph is measured: ONNX Runtime's integers, or what they stand for in another engine."""
        return "simulated" if self.symmetric else "integers"


# On a CPU with VNNI or AMX, uint8 x int8 is what ONNX Runtime has fast products for. With ranges
# that are known it is also faster than its dynamic quantization, which looks for them in every
# run: 63 against 105 ms for the products of two layers of the real size and 1024 patches.
FOR_CPU = Flavour("int8", "fp32", symmetric=False, fused=True)
FOR_TENSORRT = Flavour("int8-tensorrt", "fp16", symmetric=True)
FLAVOURS = (FOR_CPU, FOR_TENSORRT)


@dataclass(frozen=True, eq=False)
class Plan:
    """The smoothing and the range of each site by name, and the linears by name that are not quantized."""

    smoothing: Mapping[str, Smoothing]
    ranges: Mapping[str, Range]
    kept: tuple[str, ...] = ()

    def keeping(self, linear: str) -> Plan:
        """The same, with one more linear left as it is."""
        return replace(self, kept=(*self.kept, linear))
