"""Turn a graph into an INT8 or FP8 graph: smooth the weights, and put Q/DQ around every quantized linear.

QuantizeLinear and DequantizeLinear are standard operators, which ONNX Runtime and TensorRT
turn into INT8 products. onnxruntime.quantization writes them too, but it supports neither
FP16 graphs with balanced weights, nor one weight file for two graphs, nor smoothing.

A weight of an FP32 product has a scale for each output channel, and beside uint8 activations it is
limited in pairs (see `pairs.py`). A weight of an FP16 product has
one scale, and its product is multiplied in each channel afterwards, so that no sum overflows
(see `rounded_weight.py`). An FP8 weight has one scale, and rounds the FP16 graph's own weight: then its product
is that of the FP16 graph, which cannot overflow.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import onnx_ir as ir

from uhd_edge.calibration.graphs.external_weights import read_weight
from uhd_edge.calibration.ranges.fp8 import FP8, fp8_scale, to_fp8
from uhd_edge.calibration.ranges.rounded_weight import ChannelScaledWeight, CommonScaledWeight
from uhd_edge.calibration.ranges.rounding import common_scale, half_activation_scale
from uhd_edge.engines.processor import FITTING_SUMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from uhd_edge.calibration.ranges.linears import Linear, Site
    from uhd_edge.calibration.ranges.plan import Flavour, QuantizationPlan
    from uhd_edge.calibration.ranges.rounding import Range

    Array = NDArray[np.float32]
    ReadWeight = Callable[[str], Array]


def quantize(
    model: ir.Model, sites: Sequence[Site], plan: QuantizationPlan, flavour: Flavour, read: ReadWeight
) -> None:
    """Rewrite `model`, the graph of `flavour.base`, in place; its weights are computed when they are read.

    `sites` are the sites of the FP32 graph; `read` returns an FP32 weight by its name.
    """
    rewriter = Rewriter(model.graph, plan, flavour, read)
    for site in sites:
        rewriter.rewrite(site)
    if not flavour.symmetric:
        model.metadata_props[FITTING_SUMS] = "yes"


class Rewriter:
    """Rewrites the linears of one graph, site by site."""

    def __init__(self, graph: ir.Graph, plan: QuantizationPlan, flavour: Flavour, read: ReadWeight) -> None:
        self.graph, self.plan, self.flavour, self.read = graph, plan, flavour, read
        self.nodes: Mapping[str, ir.Node] = {str(node.name): node for node in graph}
        self.pairs: dict[ir.Value, ir.Value] = {}

    def rewrite(self, site: Site) -> None:
        """Smooth one site and quantize its linears, except those the plan keeps."""
        factors = self.plan.smoothing[site.name].factors
        if factors is not None:
            self._divide_norm(cast("str", site.norm), factors)
        for linear in site.linears:
            node = self.nodes[linear.node]
            if linear.name in self.plan.kept:
                if factors is not None:
                    self._multiply_kept(linear, factors)
                continue
            node.replace_input_with(0, self._round_activation(node, site))
            self._round_linear(node, linear, site, factors)

    def _round_linear(self, node: ir.Node, linear: Linear, site: Site, factors: Array | None) -> None:
        if self.flavour.numbers == "fp8":
            self._round_to_fp8(node, linear, site, factors)
        elif _is_half(node):
            self._round_half_weight(node, linear, site, factors)
        else:
            self._round_weight(node, linear, factors)

    def _divide_norm(self, norm: str, factors: Array) -> None:
        for name in (f"{norm}.weight", f"{norm}.bias"):
            value = self.graph.initializers[name]
            divided = partial(self._divided, name, factors)
            value.const_value = _lazy(name, ir.DataType.FLOAT, _shape(value), divided)

    def _divided(self, name: str, factors: Array) -> Array:
        return self.read(name) / factors

    def _multiply_kept(self, linear: Linear, factors: Array) -> None:
        """Smooth an unquantized weight, keeping its type and the powers of two an FP16 weight may be divided by."""
        self._rewrite_constant(linear.weight, self._balanced(linear, factors))

    def _balanced(self, linear: Linear, factors: Array | None) -> Callable[[], Array]:
        """Return what reads the smoothed weight, divided by the powers of two that the base graph divides it by."""
        restored = self.graph.initializers.get(f"{linear.weight}.scales")
        powers = None if restored is None else cast("ir.TensorProtocol", restored.const_value)

        def read() -> Array:
            weight = self._smoothed(linear, factors)
            return weight if powers is None else (weight / read_weight(powers)).astype(np.float32)

        return read

    def _round_activation(self, node: ir.Node, site: Site) -> ir.Value:
        """Insert a Q/DQ pair after the left input of `node`; nodes that read the same value share it.

        An FP16 graph may hold the value twice, if one linear of a site is in FP32 and others are not.
        """
        value = cast("ir.Value", node.inputs[0])
        if value not in self.pairs:
            scope = f"{site.name}_{'half' if _is_half(node) else 'full'}"
            scale, zero = self._scale(self.plan.ranges[site.name])
            integer_of_half = _is_half(node) and self.flavour.numbers == "int8"
            stored = np.array(half_activation_scale(np.float32(scale))) if integer_of_half else scale
            constants = [self._constant(f"{scope}/scale", stored), self._constant(f"{scope}/zero", zero)]
            quantized = self._insert("QuantizeLinear", scope, [value, *constants], node)
            self.pairs[value] = self._insert("DequantizeLinear", scope, [quantized, *constants], node)
        return self.pairs[value]

    def _scale(self, span: Range) -> tuple[NDArray[np.floating], NDArray[np.generic]]:
        if self.flavour.numbers == "fp8":
            return np.array(fp8_scale(span.largest)), np.array(0, dtype=FP8)
        if self.flavour.symmetric:
            return np.array(span.symmetric_scale()), np.array(0, dtype=np.int8)
        scale, zero = span.asymmetric()
        return np.array(scale), np.array(zero)

    def _round_weight(self, node: ir.Node, linear: Linear, factors: Array | None) -> None:
        """Replace the weight with its INT8 values and their FP32 scales, one for each output channel."""
        old = cast("ir.Value", node.inputs[1])
        read = partial(self._smoothed, linear, factors)
        rounded = ChannelScaledWeight(read, paired=not self.flavour.symmetric)
        scales = self._weight(f"{linear.weight}_scales", ir.DataType.FLOAT, ir.Shape(_shape(old)[1:]), rounded.scales)
        self._replace_weight(node, linear, rounded.numbers, scales, {"axis": 1})

    def _round_half_weight(self, node: ir.Node, linear: Linear, site: Site, factors: Array | None) -> None:
        """Replace the weight with its INT8 values and one scale, and multiply the product in each channel.

        A balanced product is multiplied by powers of two already: these make room for the factors.
        """
        old = cast("ir.Value", node.inputs[1])
        restored = self.graph.initializers.get(f"{linear.weight}.scales")
        activation = half_activation_scale(self.plan.ranges[site.name].symmetric_scale())
        scale = common_scale(activation, int(_shape(old).numpy()[0]))
        rounded = CommonScaledWeight(partial(self._smoothed, linear, factors), scale, half=restored is None)
        if restored is not None:
            restored.const_value = _lazy(str(restored.name), ir.DataType.FLOAT, _shape(restored), rounded.factors)
        else:
            by_channel = ir.Shape(_shape(old)[1:])
            name = f"{linear.weight}_factors"
            self._multiply(node, self._weight(name, ir.DataType.FLOAT16, by_channel, rounded.factors))
        self._replace_weight(
            node, linear, rounded.numbers, self._constant(f"{linear.weight}_scale", np.array(scale)), {}
        )

    def _round_to_fp8(self, node: ir.Node, linear: Linear, site: Site, factors: Array | None) -> None:
        """Replace the weight with its FP8 values and one scale; the graph goes on from its product as before.

        TensorRT joins the products of a site into one, such as queries, keys and values. If their scales
        differed, it would store bare sums, as with a scale for each channel, and they would overflow. So they
        have one scale.
        """
        joined = [self._balanced(one, factors) for one in site.linears if one.name not in self.plan.kept]
        scale = fp8_scale(max(float(np.abs(read()).max(initial=0)) for read in joined))
        balanced = self._balanced(linear, factors)
        stored = self._constant(f"{linear.weight}_scale", np.array(scale))
        self._replace_weight(node, linear, lambda: to_fp8(balanced(), scale), stored, {})
        shift = self.plan.shifts.get(linear.name)
        if shift is not None and linear.bias in self.graph.initializers:
            self._rewrite_constant(linear.bias, lambda: self.read(linear.bias) + shift)

    def _replace_weight(
        self,
        node: ir.Node,
        linear: Linear,
        numbers: Callable[[], NDArray[np.generic]],
        scale: ir.Value,
        attributes: Mapping[str, int],
    ) -> None:
        old = cast("ir.Value", node.inputs[1])
        dtype = ir.DataType.INT8 if self.flavour.numbers == "int8" else ir.DataType.FLOAT8E4M3FN
        stored = self._weight(f"{linear.weight}_quantized", dtype, _shape(old), numbers)
        node.replace_input_with(1, self._insert("DequantizeLinear", linear.name, [stored, scale], node, attributes))
        if not old.uses():
            del self.graph.initializers[str(old.name)]

    def _multiply(self, product: ir.Node, factors: ir.Value) -> None:
        """Multiply the result of `product` by `factors` [out] before it is used."""
        result = product.outputs[0]
        uses = list(result.uses())
        multiplied = self._insert("Mul", str(product.name), [result, factors], uses[0][0])
        for user, index in uses:
            user.replace_input_with(index, multiplied)

    def _smoothed(self, linear: Linear, factors: Array | None) -> Array:
        weight = self.read(linear.weight)
        return weight if factors is None else weight * factors[:, None]

    def _rewrite_constant(self, name: str, make: Callable[[], Array]) -> None:
        """Let a constant of the graph have other numbers, in its own type."""
        value = self.graph.initializers[name]
        dtype = cast("ir.DataType", value.dtype)
        value.const_value = _lazy(name, dtype, _shape(value), lambda: make().astype(dtype.numpy()))

    def _insert(
        self,
        operator: str,
        scope: str,
        inputs: Sequence[ir.Value],
        before: ir.Node,
        attributes: Mapping[str, int] | None = None,
    ) -> ir.Value:
        node = ir.node(operator, inputs, attributes=attributes or {}, name=f"{scope}/{operator}")
        node.outputs[0].name = node.name
        self.graph.insert_before(before, node)
        return node.outputs[0]

    def _constant(self, name: str, array: NDArray[np.generic]) -> ir.Value:
        return self._register(name, ir.tensor(array, name=name))

    def _weight(
        self, name: str, dtype: ir.DataType, shape: ir.Shape, make: Callable[[], NDArray[np.generic]]
    ) -> ir.Value:
        return self._register(name, _lazy(name, dtype, shape, make))

    def _register(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        value = ir.Value(
            name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()), const_value=tensor
        )
        self.graph.register_initializer(value)
        return value


def _is_half(linear: ir.Node) -> bool:
    return cast("ir.Value", linear.inputs[1]).dtype == ir.DataType.FLOAT16


def _shape(value: ir.Value) -> ir.Shape:
    return cast("ir.Shape", value.shape)


def _lazy(name: str, dtype: ir.DataType, shape: ir.Shape, make: Callable[[], NDArray[np.generic]]) -> ir.LazyTensor:
    return ir.LazyTensor(lambda: ir.tensor(make(), name=name), dtype, shape, name=name)
