"""The compressors as ONNX operators: [B, W, window, d] -> [B, W, d].

The same steps as `uhd_edge.export.compressors`, under the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.export.graphs.operators import attention, feed_forward, layer_norm, linear
from uhd_edge.export.graphs.position_graphs import window_turns
from uhd_edge.runtime.bundles.compressors import COMPRESSORS, CrossMerge, WindowMerge

if TYPE_CHECKING:
    import onnx_ir as ir

    from uhd_edge.export.graphs.graph_builder import GraphBuilder
    from uhd_edge.export.tower_config import TowerConfig

COMPRESSOR = "vision_tower.vit_merger"


def compress(graph: GraphBuilder, config: TowerConfig, windows: ir.Value) -> ir.Value:
    """Turn every window into one token, as the compressor that `config` names does."""
    merge = COMPRESSORS[config.compressor]
    if isinstance(merge, CrossMerge):
        return _cross(graph, config, windows, merge)
    return _window(graph, config, windows, merge)


def compress_first(
    graph: GraphBuilder, config: TowerConfig, windows: ir.Value, border: tuple[ir.Value, ir.Value]
) -> ir.Value:
    """[B, W, window, d] -> [B, W - K + K * window, d]: the tokens of the last K windows stay as they are.

    `border` is what `find_border` gives. With K = 0 or K = W one of the two parts is empty, which
    costs nothing.
    """
    axis, (end, count) = graph.integers(1), border
    first = graph.node("Slice", COMPRESSOR, [windows, graph.integers(0), end, axis])
    rest = graph.node("Slice", COMPRESSOR, [windows, end, count, axis])
    tokens = graph.node("Reshape", COMPRESSOR, [rest, graph.integers(0, -1, config.hidden)])
    return graph.node("Concat", COMPRESSOR, [compress(graph, config, first), tokens], {"axis": 1})


def find_border(graph: GraphBuilder, windows: ir.Value, uncompressed: ir.Value) -> tuple[ir.Value, ir.Value]:
    """How many windows become one token, and how many windows there are: int64 [1] each."""
    count = _size(graph, windows)
    return graph.integer_node("Sub", COMPRESSOR, [count, _size(graph, uncompressed)]), count


def _size(graph: GraphBuilder, value: ir.Value) -> ir.Value:
    """Return the size of the second axis, int64 [1]."""
    # TensorRT 10.3 does not know the attributes of Shape that would leave out the other axes.
    shape = graph.integer_node("Shape", COMPRESSOR, [value])
    return graph.integer_node("Gather", COMPRESSOR, [shape, graph.integers(1)], {"axis": 0})


def _window(graph: GraphBuilder, config: TowerConfig, windows: ir.Value, merge: WindowMerge) -> ir.Value:
    """Attention within each window, then an MLP over it plus its mean; either may be missing."""
    scope = COMPRESSOR
    fused = config.window * config.hidden
    if merge.attends:
        normed = layer_norm(graph, windows, f"{scope}.layer_norm1", config.hidden, config.epsilon)
        attended = _attend(graph, config, normed)
        windows = graph.node("Add", scope, [windows, attended])
    mean = graph.node("ReduceMean", scope, [windows, graph.integers(2)], {"keepdims": 0})
    if merge.mlp is None:
        return mean
    inner = config.window * config.intermediate if merge.mlp == "wide" else fused
    merged = graph.node("Reshape", scope, [windows, graph.integers(0, 0, fused)])
    merged = layer_norm(graph, merged, f"{scope}.pre_norm", fused, config.epsilon)
    merged = linear(graph, merged, f"{scope}.linear_1", fused, inner)
    merged = graph.node("Gelu", scope, [merged], {"approximate": "tanh" if merge.mlp == "wide" else "none"})
    return graph.node("Add", scope, [linear(graph, merged, f"{scope}.linear_2", inner, config.hidden), mean])


def _cross(graph: GraphBuilder, config: TowerConfig, windows: ir.Value, merge: CrossMerge) -> ir.Value:
    """One query of each window attends to its tokens, then the MLP of a layer; both with residuals."""
    scope = COMPRESSOR

    def one(tokens: ir.Value) -> ir.Value:
        """[B, W, window, d] -> [B, W, 1, d]."""
        if merge.query == "mean":
            return graph.node("ReduceMean", scope, [tokens, graph.integers(2)], {"keepdims": 1})
        return graph.node("Slice", scope, [tokens, graph.integers(0), graph.integers(1), graph.integers(2)])

    normed = layer_norm(graph, windows, f"{scope}.layer_norm1", config.hidden, config.epsilon)
    merged = graph.node("Add", scope, [one(windows), _attend(graph, config, normed, one(normed), merge)])
    merged = graph.node("Reshape", scope, [merged, graph.integers(0, 0, config.hidden)])
    normed = layer_norm(graph, merged, f"{scope}.layer_norm2", config.hidden, config.epsilon)
    return graph.node(
        "Add", scope, [merged, feed_forward(graph, normed, f"{scope}.mlp", config.hidden, config.intermediate)]
    )


def _attend(
    graph: GraphBuilder,
    config: TowerConfig,
    normed: ir.Value,
    queries: ir.Value | None = None,
    merge: CrossMerge | None = None,
) -> ir.Value:
    """Attention within each window, by its tokens or by the one query of `merge`."""
    return attention(
        graph,
        normed,
        f"{COMPRESSOR}.self_attn",
        width=config.hidden,
        heads=config.heads,
        leading=2,
        queries=queries,
        turns=window_turns(graph, config),
        query_turns=None if merge is None else window_turns(graph, config, merge.query),
    )
