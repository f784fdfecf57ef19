"""INT8 graphs for TensorRT in their former form, whose sums overflow, and what built engines say of their products."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

from uhd_edge.engines.building.builder import compile_graph
from uhd_edge.engines.building.targets import find_target
from uhd_edge.runtime.checking.building import engine_orders

if TYPE_CHECKING:
    from uhd_edge.engines.building.targets import BuiltPrecision
    from uhd_edge.runtime.bundles.bundle import Bundle


def with_channel_scales(graph: Path, file: Path) -> Path:
    """Write `graph` with a scale for each output channel of a weight, as earlier versions did.

    The same numbers in exact arithmetic: what multiplied the product moves into the scales, which are
    multiples of a power of two.
    """
    model = onnx.load(graph)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or not node.input[1].endswith(".weight_scale"):
            continue
        numbers, scale = (numpy_helper.to_array(tensors[name]) for name in node.input)
        factors = np.ones(numbers.shape[1], np.float16)
        stored = tensors.get(node.input[0].replace("_quantized", "_factors"))
        if stored is not None:
            factors = numpy_helper.to_array(stored)
            stored.CopyFrom(numpy_helper.from_array(np.ones_like(factors), stored.name))
        tensors[node.input[1]].CopyFrom(numpy_helper.from_array((scale * factors).astype(np.float16), node.input[1]))
        node.attribute.append(onnx.helper.make_attribute("axis", 1))
    onnx.save(model, file)
    return file


def build_encoder(bundle: Bundle, precision: BuiltPrecision, target: str, graph: Path | None = None) -> bytes:
    """Build the encoder of 16x, or `graph` in its place, for one view and a card; returns the engine."""
    (order, *_) = engine_orders(bundle, modes=["16x"], precision=precision, max_slices=1)
    content = compile_graph(
        bundle.path / order.graph if graph is None else graph,
        order.profiles[:1],
        backend="tensorrt-rtx",
        compute_capability=find_target(target).compute_capability,
        timing_cache=None,
    )
    return bytes(content)


@dataclass(frozen=True)
class PlannedProduct:
    """A product in a built engine: its name, the types of its inputs and its output, and its float factor."""

    name: str
    inputs: tuple[str, ...]
    output: str
    factor: float


def planned_products(plan: bytes) -> list[PlannedProduct]:
    """Read the matrix products out of an engine's text."""
    types = {
        name: kind.decode() for name, kind in re.findall(rb'tensor=\{[^\n]*? name="([^"]+)"[^\n]*? type=(\w+) \}', plan)
    }
    found = re.findall(
        rb'fully_connected=\{ name="([^"]+)" output=\{"([^"]+)" \} input=\{([^}]*)\}.*?alpha=([0-9A-F]{8}) ',
        plan,
        re.DOTALL,
    )
    return [
        PlannedProduct(
            name.decode(),
            tuple(types.get(each, "?") for each in re.findall(rb'"([^"]+)"', inputs)[:2]),
            types.get(output, "?"),
            struct.unpack(">f", bytes.fromhex(factor.decode()))[0],
        )
        for name, output, inputs, factor in found
    ]


def vectors_of_scales(plan: bytes) -> list[str]:
    """Names of the FP16 vectors that an engine multiplies sums by: the products of scales."""
    return [
        name.decode()
        for name in re.findall(rb'tensor=\{[^\n]*? name="(\w*folded_matmul\w*)"[^\n]*? type=half \}', plan)
    ]
