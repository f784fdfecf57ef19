"""A graph whose engine builds in a second: one linear layer, quantized as requested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from uhd_edge.engines.building.build import EngineOrder, build_engines
from uhd_edge.engines.building.profiles import ShapeRange
from uhd_edge.engines.building.targets import find_target

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import DTypeLike


def save_linear(
    file: Path, *, base: DTypeLike = np.float16, quantized: DTypeLike = np.int8, zero_point: int = 0
) -> Path:
    """Write the graph: x [B, N, 64] -> Q/DQ -> MatMul with quantized weights -> y [B, N, 32]."""
    base_type = helper.np_dtype_to_tensor_dtype(np.dtype(base))
    rng = np.random.default_rng(0)
    weights = {
        "weight": rng.integers(-127, 128, (64, 32)).astype(np.int8),
        "weight_scales": np.full(32, 0.01, base),
        "weight_zeros": np.zeros(32, np.int8),
        "scale": np.array(0.05, base),
        "zero": np.array(zero_point, quantized),
    }
    nodes = [
        helper.make_node("Cast", ["x"], ["cast"], to=base_type),
        helper.make_node("QuantizeLinear", ["cast", "scale", "zero"], ["levels"]),
        helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["rounded"]),
        helper.make_node("DequantizeLinear", ["weight", "weight_scales", "weight_zeros"], ["matrix"], axis=1),
        helper.make_node("MatMul", ["rounded", "matrix"], ["product"], name="linear"),
        helper.make_node("Cast", ["product"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", "N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", "N", 32])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)
    return file


def order(name: str = "linear") -> EngineOrder:
    """An order for the engine of this graph, for batches of up to 3."""
    return EngineOrder(name, "graphs/linear.onnx", "int8", ({"x": ShapeRange((1, 4, 64), (2, 8, 64), (3, 16, 64))},))


def build(folder: Path, target: str = "rtx-40", orders: Sequence[EngineOrder] = (order(),)) -> list[Any]:
    """Build `orders` into `folder`, without printing anything."""
    return build_engines(folder, orders, target=find_target(target), progress=lambda _: None)


def what_is_in(folder: Path, target: str) -> set[str]:
    """The names of the files in a target's folder."""
    return {file.name for file in (folder / "engines" / target).iterdir()}
