"""Builds an ONNX graph node by node, with weights that stay in the checkpoint until it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import onnx_ir as ir
import torch

from uhd_edge.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    Attribute = int | float | str | Sequence[int]

ReadTensor: TypeAlias = "Callable[[str], Tensor]"

# Opset 20 is the newest that TensorRT 10.3 reads (JetPack 6.2), and the first with Gelu as
# one operator: ONNX Runtime fuses it with the bias before it, which is seven times as fast
# on a CPU as the nine operators it replaces. IR 9 is the version that came with it.
OPSET = 20
IR_VERSION = 9


class GraphBuilder:
    """Gathers nodes and weights; every method that adds a node returns its output.

    Nodes and their outputs are named after the module they belong to, such as
    `vision_tower.encoder.layers.3.mlp.fc1/MatMul`, weights after the checkpoint's tensors.
    `read` returns the tensor of such a name.
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
        """Add one operator of the module `scope`."""
        name = f"{scope}/{operator}"
        count = self._names[name] = self._names.get(name, -1) + 1
        name = f"{name}_{count}" if count else name
        node = ir.node(operator, inputs, attributes=attributes or {}, name=name)
        node.outputs[0].name = name
        self._nodes.append(node)
        return node.outputs[0]

    def weight(self, name: str, shape: tuple[int, ...], *, transposed: bool = False) -> ir.Value:
        """Name a tensor of the checkpoint, viewed as `shape` and, if asked, stored transposed.

        It is read when the graph is written; `CheckpointError` then when it holds NaN or infinity.
        """
        stored = shape[::-1] if transposed else shape

        def read() -> ir.TensorProtocol:
            array = self._read(name).to(torch.float32).reshape(shape).numpy()
            if not np.isfinite(array).all():
                raise CheckpointError(f"{name} holds values that are not finite numbers; the checkpoint is broken")
            return ir.tensor(array.T if transposed else array, name=name)

        lazy = ir.LazyTensor(read, ir.DataType.FLOAT, ir.Shape(stored), name=name)
        return self._initializer(name, lazy)

    def integers(self, *numbers: int) -> ir.Value:
        """Add a constant int64 vector, a reshape's target for one."""
        name = "integers_" + "_".join(str(number) for number in numbers)
        return self._initializer(name, ir.tensor(np.array(numbers, dtype=np.int64), name=name))

    def number(self, number: float, name: str) -> ir.Value:
        """Add a constant float32."""
        return self._initializer(name, ir.tensor(np.array(number, dtype=np.float32), name=name))

    def model(self, name: str, inputs: Sequence[ir.Value], output: ir.Value) -> ir.Model:
        """Finish the graph."""
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
    """Describe an input; an axis with a name is dynamic."""
    return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(axes))
