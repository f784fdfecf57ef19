"""Builds an ONNX graph node by node. Weights are read from the checkpoint only when the graph is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Attribute = int | float | str | Sequence[int]

ReadTensor: TypeAlias = "Callable[[str], NDArray[Any]]"

# Opset 20 is the newest that TensorRT 10.3 (JetPack 6.2) reads, and the first that has Gelu as
# one operator. ONNX Runtime fuses this Gelu with the bias before it; on a CPU that is seven
# times as fast as the nine operators it replaces. IR version 9 was released with opset 20.
OPSET = 20
IR_VERSION = 9


class GraphBuilder:
    """Collects a graph's nodes and weights.

    A node and its output are named after the module they belong to, such as
    `vision_tower.encoder.layers.3.mlp.fc1/MatMul`. A weight has the name of its tensor in the
    checkpoint; `read` reads the tensor with that name.
    """

    def __init__(self, read: ReadTensor) -> None:
        self._read = read
        self._nodes: list[ir.Node] = []
        self._initializers: dict[str, ir.Value] = {}
        self._names: dict[str, int] = {}

    def node(
        self,
        operator: str,
        scope: str,
        inputs: Sequence[ir.Value],
        attributes: Mapping[str, Attribute] | None = None,
    ) -> ir.Value:
        """Add one operator to the module `scope`, and return its output."""
        name = f"{scope}/{operator}"
        count = self._names[name] = self._names.get(name, -1) + 1
        name = f"{name}_{count}" if count else name
        node = ir.node(operator, inputs, attributes=attributes or {}, name=name)
        node.outputs[0].name = name
        self._nodes.append(node)
        return node.outputs[0]

    def integer_node(
        self,
        operator: str,
        scope: str,
        inputs: Sequence[ir.Value],
        attributes: Mapping[str, Attribute] | None = None,
    ) -> ir.Value:
        """Add one operator whose output is int64, such as a size."""
        output = self.node(operator, scope, inputs, attributes)
        output.type = ir.TensorType(ir.DataType.INT64)
        return output

    def weight(
        self, name: str, shape: tuple[int, ...], *, transposed: bool = False, order: NDArray[np.int64] | None = None
    ) -> ir.Value:
        """Add the checkpoint's tensor `name` as a weight, reshaped to `shape` and then transposed if asked.

        With `order` its rows come in that order. The tensor is read when the graph is written.
        """
        stored = shape[::-1] if transposed else shape

        def read() -> ir.TensorProtocol:
            array = self._read(name).astype(np.float32, copy=False).reshape(shape)
            array = array if order is None else array[order]
            return ir.tensor(array.T if transposed else array, name=name)

        lazy = ir.LazyTensor(read, ir.DataType.FLOAT, ir.Shape(stored), name=name)
        return self._initializer(name, lazy)

    def integers(self, *numbers: int) -> ir.Value:
        """Add a constant int64 vector, such as the target shape of a Reshape."""
        name = "integers_" + "_".join(str(number) for number in numbers)
        return self._initializer(name, ir.tensor(np.array(numbers, dtype=np.int64), name=name))

    def integer(self, number: int) -> ir.Value:
        """Add a constant int64 scalar, such as an index."""
        name = f"integer_{number}"
        return self._initializer(name, ir.tensor(np.array(number, dtype=np.int64), name=name))

    def number(self, number: float, name: str) -> ir.Value:
        """Add a scalar float32 constant."""
        return self.numbers(np.array(number, dtype=np.float32), name)

    def numbers(self, array: NDArray[np.float32], name: str) -> ir.Value:
        """Add a float32 constant that is no weight of the checkpoint, such as a table."""
        return self._initializer(name, ir.tensor(array, name=name))

    def model(self, name: str, inputs: Sequence[ir.Value], output: ir.Value) -> ir.Model:
        """Make a model of the nodes and weights added so far."""
        graph = ir.Graph(
            inputs,
            [output],
            nodes=self._nodes,
            initializers=list(self._initializers.values()),
            opset_imports={"": OPSET},
            name=name,
        )
        return ir.Model(graph, ir_version=IR_VERSION, producer_name="uhd-edge")

    def _initializer(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        if name not in self._initializers:
            self._initializers[name] = ir.Value(
                name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()), const_value=tensor
            )
        return self._initializers[name]


def graph_input(name: str, dtype: ir.DataType, axes: Sequence[int | str]) -> ir.Value:
    """Describe an input of the graph. An axis that has a name instead of a length is dynamic."""
    return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(axes))


def declare(value: ir.Value, name: str, axes: Sequence[int | str]) -> None:
    """Make the float32 `value` an output of the graph. An axis that has a name is dynamic."""
    value.name, value.type, value.shape = name, ir.TensorType(ir.DataType.FLOAT), ir.Shape(axes)
