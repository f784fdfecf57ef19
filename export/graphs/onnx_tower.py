"""The vision tower as ONNX operators, in block order.

The same steps as `uhd_edge.export.tower`, which is the description to read first, under the
same names. They are written out rather than traced with `torch.onnx.export`: the operators
are then the ones that ONNX Runtime and TensorRT are fast at whatever torch is installed,
every reshape has a constant target, and the real size takes no memory and no time.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import onnx_ir as ir

from uhd_edge.export.graphs.compressor_graphs import COMPRESSOR, compress, compress_first
from uhd_edge.export.graphs.graph_builder import GraphBuilder, declare, graph_input
from uhd_edge.export.graphs.operators import attention, feed_forward, layer_norm, linear
from uhd_edge.export.places import table_places
from uhd_edge.runtime.errors import ExportError
from uhd_edge.runtime.vision.patches import UNCOMPRESSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.export.graphs.graph_builder import ReadTensor
    from uhd_edge.export.tower_config import TowerConfig
    from uhd_edge.runtime.modes import Mode

TOWER = "vision_tower"


def encoder_graph(config: TowerConfig, read: ReadTensor, *, modes: Sequence[Mode]) -> ir.Model:
    """Build the encoder of `modes`, with dynamic batch and patch count.

    `patches` float32 [B, N, 3*p*p] and `position_ids` int64 [B, N] -> `features` float32
    [B, N / 4, feature width] (16x) or [B, N, feature width] (4x, and 16x of a tower without a
    compressor). `read` returns a weight by its name below `model.`.

    The encoder of both modes has a third input, `uncompressed` int64 [B, K]: the last K windows
    of a view are not compressed. K is 0 in 16x and N / 4 in 4x; the numbers are not read. So one
    engine holds the weights for both modes, and no branch has to be taken while it runs. Raises
    `ExportError` where there is only one mode: without a compressor, or before a resampler.
    """
    both = len(modes) > 1
    _refuse_both(config, both)
    graph = GraphBuilder(read)
    patches = graph_input("patches", ir.DataType.FLOAT, ["batch", "patches", config.patch_values])
    position_ids = graph_input("position_ids", ir.DataType.INT64, ["batch", "patches"])
    uncompressed = graph_input(UNCOMPRESSED, ir.DataType.INT64, ["batch", UNCOMPRESSED])
    compressed = config.has_compressor and "16x" in modes
    hidden = _embed(graph, config, patches, position_ids)
    for index in range(config.layers):
        hidden = _layer(graph, config, hidden, f"{TOWER}.encoder.layers.{index}")
        if index == config.insert_layer and compressed:
            merge = compress if not both else partial(compress_first, uncompressed=uncompressed)
            hidden = merge(graph, config, _windows(graph, config, hidden))
    features = layer_norm(graph, hidden, f"{TOWER}.post_layernorm", config.hidden, config.epsilon)
    if config.connector == "resampler":
        features = _with_places(graph, config, features, position_ids, compressed=compressed)
    axis = "features" if both else "windows" if compressed else "patches"
    declare(features, "features", ["batch", axis, config.feature_width])
    inputs = [patches, position_ids, uncompressed] if both else [patches, position_ids]
    return graph.model("encoder" if both else f"encoder-{modes[0]}", inputs, features)


def _refuse_both(config: TowerConfig, both: bool) -> None:
    if both and not config.has_compressor:
        raise ExportError("a tower without a compressor has one mode; export 16x alone")
    if both and config.connector == "resampler":
        raise ExportError("a resampler has the queries of one mode; export 16x or 4x alone")


def _windows(graph: GraphBuilder, config: TowerConfig, hidden: ir.Value) -> ir.Value:
    """[B, N, d] -> [B, W, window, d]."""
    return graph.node("Reshape", COMPRESSOR, [hidden, graph.integers(0, -1, config.window, config.hidden)])


def _embed(graph: GraphBuilder, config: TowerConfig, patches: ir.Value, position_ids: ir.Value) -> ir.Value:
    """[B, N, 3*p*p] and [B, N] -> [B, N, d]."""
    scope = f"{TOWER}.embeddings"
    embedded = linear(graph, patches, f"{scope}.patch_embedding", config.patch_values, config.hidden)
    table = graph.weight(f"{scope}.position_embedding.weight", (config.table_side**2, config.hidden))
    positions = graph.node("Gather", f"{scope}.position_embedding", [table, position_ids], {"axis": 0})
    return graph.node("Add", scope, [embedded, positions])


def _layer(graph: GraphBuilder, config: TowerConfig, hidden: ir.Value, scope: str) -> ir.Value:
    """[B, T, d] -> [B, T, d]."""
    normed = layer_norm(graph, hidden, f"{scope}.layer_norm1", config.hidden, config.epsilon)
    attended = attention(graph, normed, f"{scope}.self_attn", width=config.hidden, heads=config.heads)
    hidden = graph.node("Add", scope, [hidden, attended])
    normed = layer_norm(graph, hidden, f"{scope}.layer_norm2", config.hidden, config.epsilon)
    return graph.node(
        "Add", scope, [hidden, feed_forward(graph, normed, f"{scope}.mlp", config.hidden, config.intermediate)]
    )


def _with_places(
    graph: GraphBuilder, config: TowerConfig, features: ir.Value, position_ids: ir.Value, *, compressed: bool
) -> ir.Value:
    """[B, M, d] -> [B, M, d + 2]: row and column in the position table, of each feature's first patch."""
    scope = f"{TOWER}.places"
    if compressed:
        windows = graph.integer_node("Reshape", scope, [position_ids, graph.integers(0, -1, config.window)])
        ends = [graph.integers(0), graph.integers(1), graph.integers(2)]
        first = graph.integer_node("Slice", scope, [windows, *ends])
        position_ids = graph.integer_node("Reshape", scope, [first, graph.integers(0, -1)])
    table = graph.numbers(table_places(config.table_side), "table_places")
    places = graph.node("Gather", scope, [table, position_ids], {"axis": 0})
    return graph.node("Concat", scope, [features, places], {"axis": -1})
