"""INT8 products that overflow 16 bits, in the operators that our graphs have, beside the true result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SCALE, WIDTH = 0.5, 64


def weight() -> NDArray[np.int8]:
    """[64, 8]: columns whose neighbours overflow together, upwards and downwards, and some that do not."""
    random = np.random.default_rng(0)
    columns = [np.full(WIDTH, 127), np.full(WIDTH, -127), *random.integers(-127, 128, (4, WIDTH))]
    columns += list(random.integers(-63, 64, (2, WIDTH)))
    return np.stack(columns, axis=1).astype(np.int8)


def true_product(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the graph computes of x [rows, 64], by numpy's integers."""
    levels = np.clip(np.rint(x / SCALE), 0, 255).astype(np.int64)
    return ((levels @ weight().astype(np.int64)) * SCALE).astype(np.float32)


def rows(count: int) -> NDArray[np.float32]:
    """[count, 64] activations of all sizes up to the largest uint8."""
    return np.random.default_rng(1).integers(100, 256, (count, WIDTH)).astype(np.float32) * np.float32(SCALE)


def save_saturating(file: Path, *, fused: bool) -> Path:
    """x [N, 64] -> y [N, 8], as Q/DQ around a MatMul or (`fused`) as ONNX Runtime's own operator."""
    quantized = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["levels"])
    one_operator = helper.make_node(
        "MatMulIntegerToFloat",
        ["levels", "weight", "scale", "scales", "zero"],
        ["y"],
        domain="com.microsoft",
    )
    standard = [
        helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["rounded"]),
        helper.make_node("DequantizeLinear", ["weight", "scales"], ["matrix"], axis=1),
        helper.make_node("MatMul", ["rounded", "matrix"], ["y"]),
    ]
    constants = {
        "scale": np.array(SCALE, np.float32),
        "zero": np.array(0, np.uint8),
        "weight": weight(),
        "scales": np.ones(8, np.float32),
    }
    graph = helper.make_graph(
        [quantized, one_operator] if fused else [quantized, *standard],
        "saturating",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), file)
    return file
