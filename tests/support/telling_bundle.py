"""A bundle whose graphs copy numbers instead of computing, so that an embedding tells which patches it was made of.

For each patch of a token, the embedding holds the patch's mean red, green and blue and its
position id, in the order in which the patches came in. Tests can check order, batching and merging
number by number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from support.preprocessing_reference import preprocessing, vision

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Manifest

if TYPE_CHECKING:
    from pathlib import Path

VALUES = 3 * 14 * 14
WIDTH = 64  # width of an embedding in 16x: 4 numbers for each of 16 patches


def telling_bundle(folder: Path, *, table_side: int = 70, width: int = WIDTH, **changes: Any) -> Bundle:
    """Write the graphs into `folder`, and return them as a bundle. `changes` are changes to the preprocessing."""
    (folder / "graphs").mkdir(parents=True)
    graphs = {}
    for mode in ("16x", "4x"):
        onnx.save(encoder(mode), folder / f"graphs/encoder-{mode}.onnx")
        graphs[mode] = {"fp32": {"encoder": f"graphs/encoder-{mode}.onnx", "connector": "graphs/connector.onnx"}}
    onnx.save(connector(), folder / "graphs/connector.onnx")
    names = ["image", "image_start", "image_end", "slice_start", "slice_end", "image_id_start", "image_id_end"]
    manifest = {
        "format": 1,
        "architecture": "minicpmv4_6",
        "name": "telling",
        "default_mode": "16x",
        "vision": vision(table_side=table_side).model_dump(),
        "preprocessing": preprocessing(**({"scale_resolution": 112} | changes)).model_dump(),
        "prompt": {
            "chat_template": "",
            "tokens": {name: name for name in names},
            "stop_ids": [1],
            "use_image_id": True,
        },
        "graphs": graphs,
        "llm": {"file": "llm.gguf", "architecture": "none", "type": "f16", "hidden_size": width, "vocabulary_size": 9},
        "files": {},
    }
    return Bundle(folder, Manifest.model_validate(manifest))


def encoder(mode: str) -> onnx.ModelProto:
    """patches [B, N, 588], position_ids [B, N] -> features [B, N / 4, 16]. In 4x [B, N, 16], each number four times."""
    means = np.zeros((VALUES, 4), np.float32)
    for channel in range(3):
        means[channel * 196 : (channel + 1) * 196, channel] = 1 / 196
    nodes = [
        helper.make_node("MatMul", ["patches", "means"], ["colours"]),
        helper.make_node("Cast", ["position_ids"], ["positions"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["positions", "last"], ["column"]),
        helper.make_node("Mul", ["column", "fourth"], ["placed"]),
        helper.make_node("Add", ["colours", "placed"], ["told"]),
    ]
    constants = {
        "means": means,
        "last": np.array([-1]),
        "fourth": np.float32([0, 0, 0, 1]),
        "shape": np.array([0, -1, 16]),
        "tiles": np.array([1, 1, 4]),
    }
    merge = {"16x": ("Reshape", "shape"), "4x": ("Tile", "tiles")}[mode]
    nodes.append(helper.make_node(merge[0], ["told", merge[1]], ["features"]))
    used = {name for node in nodes for name in node.input}
    inputs = {"patches": (TensorProto.FLOAT, ["B", "N", VALUES]), "position_ids": (TensorProto.INT64, ["B", "N"])}
    return model(nodes, inputs, "features", 16, {name: value for name, value in constants.items() if name in used})


def connector() -> onnx.ModelProto:
    """features [B, M, 16] -> embeddings [B, M / 4, 64]."""
    nodes = [helper.make_node("Reshape", ["features", "shape"], ["embeddings"])]
    inputs = {"features": (TensorProto.FLOAT, ["B", "M", 16])}
    return model(nodes, inputs, "embeddings", WIDTH, {"shape": np.array([0, -1, WIDTH])})


def brittle_above(graph: onnx.ModelProto, limit: float) -> onnx.ModelProto:
    """Change the graph so that its result is NaN wherever it would exceed `limit`."""
    (output,) = graph.graph.output
    graph.graph.node[-1].output[0] = "sound"
    graph.graph.initializer.append(numpy_helper.from_array(np.float32(limit), "limit"))
    graph.graph.node.extend(
        [
            helper.make_node("Sub", ["limit", "sound"], ["room"]),
            helper.make_node("Sqrt", ["room"], [output.name]),
        ]
    )
    return graph


def model(
    nodes: list[Any], inputs: dict[str, tuple[int, list[Any]]], output: str, width: int, constants: dict[str, Any]
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "telling",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["B", "T", width])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
