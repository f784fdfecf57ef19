"""Counts the operations of an exported graph from its nodes: two for each multiply-add of a matrix product."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, shape_inference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PRODUCTS = ("MatMul", "Gemm")


def graph_flops(file: Path, axes: Mapping[str, int]) -> dict[str, int]:
    """FLOPs of each MatMul and Gemm, by the name of the node. `axes` are the sizes of the inputs' dynamic axes."""
    model = onnx.load(file, load_external_data=False)
    for value in (*model.graph.input, *model.graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in axes:
                dimension.dim_value = axes[dimension.dim_param]
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")  # it follows from the inputs
    shapes = _shapes(shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))
    return {
        node.name or node.output[0]: 2 * math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
        for node in model.graph.node
        if node.op_type in PRODUCTS
    }


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    shapes = {value.name: [one.dim_value for one in value.type.tensor_type.shape.dim] for value in values}
    assert all(value.type.tensor_type.elem_type != TensorProto.UNDEFINED for value in values)
    assert all(math.prod(shape) > 0 for shape in shapes.values()), "a shape was not inferred"
    return shapes
