"""The vision tower as ONNX operators, in block order.

The same steps as `uhd_edge.export.tower`, which is the description to read first, under the
same names. They are written out rather than traced with `torch.onnx.export`: the operators
are then the ones that ONNX Runtime and TensorRT are fast at whatever torch is installed,
every reshape has a constant target, and the real size takes no memory and no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from uhd_edge.export.graphs.compressor_graphs import COMPRESSOR, compress, compress_first, find_border
from uhd_edge.export.graphs.graph_builder import GraphBuilder, declare, graph_input
from uhd_edge.export.graphs.operators import attention, feed_forward, layer_norm, linear
from uhd_edge.export.graphs.position_graphs import (
    SCOPE,
    Places,
    Turns,
    first_places,
    merged_places,
    patch_places,
    stretched_table,
    table_places,
    turns_at,
)
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
    places = _places(graph, config, position_ids)
    hidden = _embed(graph, config, patches, position_ids, places)
    hidden = _layers(graph, config, hidden, places, uncompressed if both else None, compressed=compressed)
    features = layer_norm(graph, hidden, f"{TOWER}.post_layernorm", config.hidden, config.epsilon)
    if config.connector == "resampler" and places is not None:
        features = _with_places(graph, config, features, places, compressed=compressed)
    axis = "features" if both else "windows" if compressed else "patches"
    declare(features, "features", ["batch", axis, config.feature_width])
    inputs = [patches, position_ids, uncompressed] if both else [patches, position_ids]
    return graph.model("encoder" if both else f"encoder-{modes[0]}", inputs, features)


def _refuse_both(config: TowerConfig, both: bool) -> None:
    if both and not config.has_compressor:
        raise ExportError("a tower without a compressor has one mode; export 16x alone")
    if both and config.connector == "resampler":
        raise ExportError("a resampler has the queries of one mode; export 16x or 4x alone")


def _places(graph: GraphBuilder, config: TowerConfig, position_ids: ir.Value) -> Places | None:
    """Find where every patch is, in the view's grid or in the position table; None where nothing asks for it."""
    if config.turns:
        return patch_places(graph, position_ids)
    return table_places(graph, config, position_ids) if config.connector == "resampler" else None


def _embed(
    graph: GraphBuilder, config: TowerConfig, patches: ir.Value, position_ids: ir.Value, places: Places | None
) -> ir.Value:
    """[B, N, 3*p*p] and [B, N] -> [B, N, d]."""
    scope = f"{TOWER}.embeddings"
    embedded = linear(graph, patches, f"{scope}.patch_embedding", config.patch_values, config.hidden)
    table = graph.weight(f"{scope}.position_embedding.weight", (config.table_side**2, config.hidden))
    if config.turns and places is not None:
        positions = stretched_table(graph, config, table, places)
    else:
        positions = graph.node("Gather", f"{scope}.position_embedding", [table, position_ids], {"axis": 0})
    return graph.node("Add", scope, [embedded, positions])


def _layers(
    graph: GraphBuilder,
    config: TowerConfig,
    hidden: ir.Value,
    places: Places | None,
    uncompressed: ir.Value | None,
    *,
    compressed: bool,
) -> ir.Value:
    """[B, N, d] -> [B, M, d]: all layers, with the compressor between them if `compressed`."""
    turns = turns_at(graph, config, places) if config.turns and places is not None else None
    for index in range(config.layers):
        hidden = _layer(graph, config, hidden, f"{TOWER}.encoder.layers.{index}", turns)
        if index == config.insert_layer and compressed:
            windows = _windows(graph, config, hidden)
            border = None if uncompressed is None else find_border(graph, windows, uncompressed)
            if border is None:
                hidden = compress(graph, config, windows)
            else:
                hidden = compress_first(graph, config, windows, border)
            if turns is not None and places is not None:
                turns = turns_at(graph, config, merged_places(graph, config, places, border))
    return hidden


def _windows(graph: GraphBuilder, config: TowerConfig, hidden: ir.Value) -> ir.Value:
    """[B, N, d] -> [B, W, window, d]."""
    return graph.node("Reshape", COMPRESSOR, [hidden, graph.integers(0, -1, config.window, config.hidden)])


def _layer(graph: GraphBuilder, config: TowerConfig, hidden: ir.Value, scope: str, turns: Turns | None) -> ir.Value:
    """[B, T, d] -> [B, T, d]."""
    normed = layer_norm(graph, hidden, f"{scope}.layer_norm1", config.hidden, config.epsilon)
    attended = attention(graph, normed, f"{scope}.self_attn", width=config.hidden, heads=config.heads, turns=turns)
    hidden = graph.node("Add", scope, [hidden, attended])
    normed = layer_norm(graph, hidden, f"{scope}.layer_norm2", config.hidden, config.epsilon)
    return graph.node(
        "Add", scope, [hidden, feed_forward(graph, normed, f"{scope}.mlp", config.hidden, config.intermediate)]
    )


def _with_places(
    graph: GraphBuilder, config: TowerConfig, features: ir.Value, places: Places, *, compressed: bool
) -> ir.Value:
    """[B, M, d] -> [B, M, d + 2]: row and column of each feature's first patch follow its numbers."""
    first = first_places(graph, config, places) if compressed else places
    return graph.node("Concat", SCOPE, [features, first.rows, first.columns], {"axis": -1})
