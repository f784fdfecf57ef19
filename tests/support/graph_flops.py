"""Counts the operations of an exported graph from its nodes: two for each multiply-add of a matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnxruntime
from onnx import helper

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

PRODUCTS = ("MatMul", "Gemm")


def graph_flops(file: Path, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, int]:
    """FLOPs of each MatMul and Gemm by the name of the node, as ONNX Runtime computes them for `inputs`."""
    model = onnx.load(file)
    products = [node for node in model.graph.node if node.op_type in PRODUCTS]
    given = {value.name for value in model.graph.input}
    seen = sorted({name for node in products for name in (node.input[0], node.output[0])} - given)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in seen)
    values = onnxruntime.InferenceSession(model.SerializeToString()).run(seen, dict(inputs))
    arrays = {**inputs, **dict(zip(seen, values, strict=True))}
    return {
        node.name or node.output[0]: 2 * arrays[node.output[0]].size * arrays[node.input[0]].shape[-1]
        for node in products
    }
