"""Turn an FP16 graph into one whose linears multiply NVFP4: weights and activations in blocks of 16 numbers.

The scales of a weight's blocks are stored. Those of an activation's blocks are computed in every run, by an
operator of TensorRT's own (`trt::TRT_FP4DynamicQuantize`), from the scale of the whole tensor, which is
calibrated. ONNX has the numbers of 4 bits since opset 23, so these graphs state it; others stay with theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import onnx_ir as ir

from uhd_edge.calibration.graphs.quantize import Rewriter
from uhd_edge.calibration.ranges.nvfp4 import BLOCK, Blocks, nvfp4_scale, to_nvfp4

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from uhd_edge.calibration.graphs.quantize import ReadWeight
    from uhd_edge.calibration.ranges.linears import Linear, Site
    from uhd_edge.calibration.ranges.plan import Flavour, QuantizationPlan

OPSET, IR_VERSION = 23, 11
DOMAIN, DYNAMIC_QUANTIZE = "trt", "TRT_FP4DynamicQuantize"


def quantize_nvfp4(
    model: ir.Model, sites: Sequence[Site], plan: QuantizationPlan, flavour: Flavour, read: ReadWeight
) -> None:
    """Rewrite `model` as `quantize` does. The linears that `plan` quantizes read a multiple of 16 numbers, in FP16."""
    rewriter = _Nvfp4Rewriter(model.graph, plan, flavour, read)
    for site in sites:
        rewriter.rewrite(site)
    if rewriter.pairs:
        model.graph.opset_imports.update({"": OPSET, DOMAIN: 1})
        model.ir_version = max(model.ir_version, IR_VERSION)


class _Nvfp4Rewriter(Rewriter):
    def _round_activation(self, node: ir.Node, site: Site) -> ir.Value:
        """Insert what rounds the left input of `node` to blocks along its last axis."""
        value = cast("ir.Value", node.inputs[0])
        if value not in self.pairs:
            span = self.plan.ranges[site.name]
            scale = self._constant(f"{site.name}_fp4/scale", np.array(nvfp4_scale(span.largest)))
            attributes = {"axis": -1, "block_size": BLOCK, "scale_type": ir.DataType.FLOAT8E4M3FN.value}
            quantize = ir.node(
                DYNAMIC_QUANTIZE,
                [value, scale],
                attributes=attributes,
                domain=DOMAIN,
                num_outputs=2,
                name=f"{site.name}_fp4/{DYNAMIC_QUANTIZE}",
            )
            for output, name in zip(quantize.outputs, ("levels", "scales"), strict=True):
                output.name = f"{site.name}_fp4/{name}"
            self.graph.insert_before(node, quantize)
            levels, scales = quantize.outputs
            self.pairs[value] = self._dequantize(f"{site.name}_fp4", (levels, scales, scale), node, axis=-1)
        return self.pairs[value]

    def _round_linear(self, node: ir.Node, linear: Linear, site: Site, factors: NDArray[np.float32] | None) -> None:
        """Replace the weight with its blocks; products that the builder may join have the same scale, as in FP8."""
        joined = [self._balanced(one, factors) for one in site.linears if one.name not in self.plan.kept]
        scale = nvfp4_scale(max(float(np.abs(read()).max(initial=0)) for read in joined))
        balanced = self._balanced(linear, factors)
        old = cast("ir.Value", node.inputs[1])
        shape = cast("ir.Shape", old.shape)
        inputs, outputs = shape.numpy()
        name = linear.weight

        def blocks() -> Blocks:
            return to_nvfp4(np.ascontiguousarray(balanced().T), scale)

        stored = (
            self._weight(f"{name}_levels", ir.DataType.FLOAT4E2M1, shape, _turned(lambda: blocks().levels)),
            self._weight(
                f"{name}_scales",
                ir.DataType.FLOAT8E4M3FN,
                ir.Shape((inputs // BLOCK, outputs)),
                _turned(lambda: blocks().scales),
            ),
            self._constant(f"{name}_scale", np.array(scale)),
        )
        node.replace_input_with(1, self._dequantize(f"{linear.name}_fp4", stored, node, axis=0))
        if not old.uses():
            del self.graph.initializers[str(old.name)]

    def _dequantize(
        self, scope: str, blocks: tuple[ir.Value, ir.Value, ir.Value], before: ir.Node, *, axis: int
    ) -> ir.Value:
        """Insert what turns levels, scales and the tensor's scale into FP16 numbers."""
        levels, scales, scale = blocks
        # In FP32: the scale of a tensor is smaller than FP16's numbers.
        full = self._insert("DequantizeLinear", f"{scope}/scales", [scales, scale], before)
        along = {"axis": axis, "block_size": BLOCK}
        values = self._insert("DequantizeLinear", f"{scope}/levels", [levels, full], before, along)
        return self._insert("Cast", scope, [values], before, {"to": ir.DataType.FLOAT16.value})


def _turned(read: Callable[[], NDArray[np.generic]]) -> Callable[[], NDArray[np.generic]]:
    """Return what reads an array [out, in] as [in, out]."""
    return lambda: np.ascontiguousarray(read().T)
