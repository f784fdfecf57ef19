"""Turns an FP32 graph into an FP16 graph that does not overflow.

Casts in the graph fix the type of every value, so that a strongly typed TensorRT engine
computes with exactly these types:

- FP16: the matrix products, Gelu, and the operators that only scale, move or reshape their results.
- FP32: the residual stream, LayerNorm, softmax, means, the position table, inputs and outputs.

In a SigLIP tower, a few channels of the residual stream exceed 65504, the largest number of
FP16. The products that are added to the stream can have sums as large. Their weights are
therefore *balanced*: each output channel is divided by a power of two that brings its root mean
square to about 2**-10, and the result is multiplied by the same power in FP32. Dividing by a
power of two loses no digits, the sums stay small, and 2**-10 is large enough to stay clear of
FP16's smallest numbers, which have fewer digits.

`uhd_edge.export.graphs.half_range` finds the other products that could exceed FP16's range. They
stay in FP32, and so does every operator that reads their results, up to the next LayerNorm,
softmax or addition of two values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import onnx_ir as ir

from uhd_edge.export.graphs.half_range import products_near_overflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BALANCED_EXPONENT = -10

# Operators that compute in the type of their input.
_FOLLOWING = frozenset({"Gelu", "Mul", "Reshape", "Transpose"})


def to_half_precision(model: ir.Model) -> None:
    """Rewrite `model`, which `uhd_edge.export.graphs.onnx_tower` has built, in place."""
    wide = products_near_overflow(model.graph, 2.0**BALANCED_EXPONENT)
    types = _Types(model.graph)
    for node in list(model.graph):
        if node.name in wide or types.must_stay_full(node):
            types.keep_full(node)
        elif node.op_type == "MatMul" and _is_weight(node.inputs[1]):
            _halve_linear(node, types)
        elif node.op_type == "MatMul":
            types.give(node, [0, 1], ir.DataType.FLOAT16)
            types.half.add(node.outputs[0])
        elif node.op_type in _FOLLOWING:
            _follow(node, types)
        elif not types.is_half_bias(node):
            types.give(node, range(len(node.inputs)), ir.DataType.FLOAT)


class _Types:
    """Keeps track of types: which values are FP16 so far, which must stay FP32, and the Casts added so far."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.half: set[ir.Value] = set()
        self.wide: set[ir.Value] = set()
        # Constants that all layers share, such as the scale of the attention.
        self._numbers = {
            value: value.const_value
            for value in graph.initializers.values()
            if value.dtype == ir.DataType.FLOAT and not _is_weight(value)
        }
        self._casts: dict[ir.Value, ir.Value] = {}
        self._names: dict[str, int] = {}

    def is_half_bias(self, node: ir.Node) -> bool:
        """Whether `node` adds a bias that was already converted to FP16 together with its product."""
        return node.op_type == "Add" and node.outputs[0] in self.half

    def must_stay_full(self, node: ir.Node) -> bool:
        """Whether `node` reads a value that must stay FP32, and its result can be as large as that value."""
        adds_bias = node.op_type == "Add" and any(_is_weight(value) for value in node.inputs)
        passes_on = adds_bias or node.op_type == "MatMul" or node.op_type in _FOLLOWING
        return passes_on and not self.wide.isdisjoint(value for value in node.inputs if value is not None)

    def keep_full(self, node: ir.Node) -> None:
        """Let `node` compute in FP32, and mark its outputs as values that must stay FP32."""
        self.give(node, range(len(node.inputs)), ir.DataType.FLOAT)
        for index, value in enumerate(node.inputs):
            if value in self._numbers:
                node.replace_input_with(index, self._full_number(value))
        self.wide.update(node.outputs)

    def give(self, node: ir.Node, inputs: range | list[int], wanted: ir.DataType) -> None:
        """Let `node` read the inputs with the indices `inputs` as type `wanted`, with a Cast where needed."""
        for index in inputs:
            value = cast("ir.Value", node.inputs[index])
            if value.is_initializer() or value.dtype == ir.DataType.INT64:
                continue
            if (value in self.half) != (wanted == ir.DataType.FLOAT16):
                node.replace_input_with(index, self._cast(value, wanted, node))

    def _full_number(self, value: ir.Value) -> ir.Value:
        name = f"{value.name}_full"
        if name not in self.graph.initializers:
            number = ir.tensor(cast("ir.TensorProtocol", self._numbers[value]).numpy(), name=name)
            self.graph.register_initializer(
                ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=value.shape, const_value=number)
            )
        return self.graph.initializers[name]

    def _cast(self, value: ir.Value, wanted: ir.DataType, before: ir.Node) -> ir.Value:
        if value not in self._casts:
            name = f"{before.name}/Cast"
            count = self._names[name] = self._names.get(name, -1) + 1
            name = f"{name}_{count}" if count else name
            node = ir.node("Cast", [value], attributes={"to": wanted.value}, name=name)
            node.outputs[0].name = f"{value.name}_{'half' if wanted == ir.DataType.FLOAT16 else 'full'}"
            self.graph.insert_before(before, node)
            self._casts[value] = node.outputs[0]
        return self._casts[value]


def _is_weight(value: ir.Value | None) -> bool:
    return value is not None and isinstance(value.const_value, ir.LazyTensor)


def _follow(node: ir.Node, types: _Types) -> None:
    if node.inputs[0] not in types.half:
        return
    types.half.add(node.outputs[0])
    for value in node.inputs[1:]:
        if value is not None and value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT:
            number = value.const_value.numpy().astype(np.float16)
            value.const_value = ir.tensor(number, name=value.name)
            value.dtype = ir.DataType.FLOAT16


def _halve_linear(matmul: ir.Node, types: _Types) -> None:
    """Convert a product with a weight, together with the bias that is added to it."""
    weight = cast("ir.Value", matmul.inputs[1])
    (add,) = matmul.outputs[0].consumers()
    types.give(matmul, [0], ir.DataType.FLOAT16)
    types.half.add(matmul.outputs[0])
    consumers = add.outputs[0].consumers()  # empty for the graph's output
    if consumers and all(consumer.op_type in _FOLLOWING for consumer in consumers):
        bias = next(value for value in add.inputs if _is_weight(value))
        _store_half(weight, _to_half)
        _store_half(cast("ir.Value", bias), _to_half)
        types.half.add(add.outputs[0])
    else:
        _widen(matmul, add, _balance(weight, types.graph), types)


def _widen(matmul: ir.Node, add: ir.Node, scales: ir.Value, types: _Types) -> None:
    """Multiply the product by the powers of two again, in FP32, before its bias is added."""
    types.give(add, [0, 1], ir.DataType.FLOAT)
    index = next(index for index, value in enumerate(add.inputs) if not _is_weight(value))
    restore = ir.node("Mul", [add.inputs[index], scales], name=f"{matmul.name}/Mul")
    restore.outputs[0].name = f"{matmul.outputs[0].name}_restored"
    types.graph.insert_before(add, restore)
    add.replace_input_with(index, restore.outputs[0])


def _balance(weight: ir.Value, graph: ir.Graph) -> ir.Value:
    """Store `weight` [in, out] balanced; return the powers of two [out] that its columns were divided by."""
    stored = cast("ir.LazyTensor", weight.const_value)
    name = f"{weight.name}.scales"
    _store_half(weight, lambda array: _to_half(np.ldexp(array, -_exponents(array))))
    scales = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape((stored.shape[1],)))
    scales.const_value = ir.LazyTensor(
        lambda: ir.tensor(np.ldexp(np.float32(1), _exponents(stored.numpy())), name=name),
        ir.DataType.FLOAT,
        cast("ir.Shape", scales.shape),
        name=name,
    )
    graph.register_initializer(scales)
    return scales


def _exponents(weight: NDArray[np.float32]) -> NDArray[np.int32]:
    """Exponents [out] of the powers of two that the columns of `weight` [in, out] are divided by."""
    _, exponents = np.frexp(np.sqrt(np.mean(np.square(weight, dtype=np.float64), axis=0)))
    # A column of zeros is not scaled. At most 120, so that FP32 can hold the power.
    return np.where(weight.any(axis=0), np.clip(exponents - BALANCED_EXPONENT, -120, 120), 0).astype(np.int32)


def _to_half(array: NDArray[np.float32]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):  # writing the file refuses infinities, with the name of the weight
        return array.astype(np.float16)


def _store_half(value: ir.Value, convert: Callable[[NDArray[np.float32]], NDArray[np.float16]]) -> None:
    stored = cast("ir.LazyTensor", value.const_value)
    value.dtype = ir.DataType.FLOAT16
    value.const_value = ir.LazyTensor(
        lambda: ir.tensor(convert(stored.numpy()), name=stored.name),
        ir.DataType.FLOAT16,
        stored.shape,
        name=stored.name,
    )
