"""The connectors as an ONNX graph: features of the tower become embeddings for the language model.

The same steps as `uhd_edge.export.connectors`, under the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from uhd_edge.export.graphs.graph_builder import GraphBuilder, declare, graph_input
from uhd_edge.export.graphs.operators import attention, layer_norm, linear
from uhd_edge.export.places import frequencies

if TYPE_CHECKING:
    from uhd_edge.export.graphs.graph_builder import ReadTensor
    from uhd_edge.export.tower_config import TowerConfig

CONNECTOR = "merger"
EPSILON = 1e-6  # of every norm, whatever the tower's
END = 1 << 30  # of a slice: to the last


def connector_graph(config: TowerConfig, read: ReadTensor) -> ir.Model:
    """Build the connector: `features` float32 [B, M, feature width] -> `embeddings` float32 [B, tokens, d_llm].

    There are M / 4**rounds tokens, or as many as a resampler has queries.
    """
    graph = GraphBuilder(read)
    features = graph_input("features", ir.DataType.FLOAT, ["batch", "features", config.feature_width])
    embeddings = (_resample if config.connector == "resampler" else _merge)(graph, config, features)
    declare(embeddings, "embeddings", ["batch", "tokens", config.llm_hidden])
    return graph.model("connector", [features], embeddings)


def _merge(graph: GraphBuilder, config: TowerConfig, hidden: ir.Value) -> ir.Value:
    """[B, M, d] -> [B, M / merge**rounds, d_llm]."""
    merged = config.merge * config.hidden
    for index in range(config.merge_rounds):
        scope = f"{CONNECTOR}.mlp.{index}"
        width = config.llm_hidden if index == config.merge_rounds - 1 else config.hidden
        hidden = graph.node("Reshape", scope, [hidden, graph.integers(0, -1, merged)])
        hidden = layer_norm(graph, hidden, f"{scope}.pre_norm", merged, EPSILON)
        hidden = linear(graph, hidden, f"{scope}.linear_1", merged, merged)
        hidden = graph.node("Gelu", scope, [hidden], {"approximate": "none"})
        hidden = linear(graph, hidden, f"{scope}.linear_2", merged, width)
    return hidden


def _resample(graph: GraphBuilder, config: TowerConfig, features: ir.Value) -> ir.Value:
    """[B, M, d + 2] -> [B, queries, d_llm]: learned queries attend to all features."""
    scope, width, hidden = CONNECTOR, config.llm_hidden, config.hidden
    content = linear(graph, _part(graph, features, 0, hidden), f"{scope}.kv_proj", hidden, width)
    content = layer_norm(graph, content, f"{scope}.norm_features", width, EPSILON)
    keys = graph.node("Add", scope, [content, _told_places(graph, config, features)])
    query = graph.weight(f"{scope}.query", (1, config.queries, width))
    asked = layer_norm(graph, query, f"{scope}.norm_query", width, EPSILON)
    heads = config.resampler_heads
    mixed = attention(graph, content, f"{scope}.attn", width=width, heads=heads, queries=asked, keys=keys)
    mixed = layer_norm(graph, mixed, f"{scope}.norm_output", width, EPSILON)
    return linear(graph, mixed, f"{scope}.proj", width, width)


def _told_places(graph: GraphBuilder, config: TowerConfig, features: ir.Value) -> ir.Value:
    """[B, M, d + 2] -> [B, M, d_llm]: sines and cosines of column and row."""
    scope, hidden = CONNECTOR, config.hidden
    turns = graph.numbers(frequencies(config.llm_hidden), "place_frequencies")
    rows = graph.node("Mul", scope, [_part(graph, features, hidden, hidden + 1), turns])
    columns = graph.node("Mul", scope, [_part(graph, features, hidden + 1, END), turns])
    waves = [graph.node(wave, scope, [axis]) for axis in (columns, rows) for wave in ("Sin", "Cos")]
    return graph.node("Concat", scope, waves, {"axis": -1})


def _part(graph: GraphBuilder, features: ir.Value, start: int, end: int) -> ir.Value:
    """The numbers from `start` to `end` of every feature."""
    return graph.node("Slice", CONNECTOR, [features, graph.integers(start), graph.integers(end), graph.integers(2)])
