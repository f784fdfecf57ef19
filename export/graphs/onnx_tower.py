"""The vision tower and the connector as ONNX operators, in block order.

The same steps as `uhd_edge.export.tower`, which is the description to read first, under the
same names. They are written out rather than traced with `torch.onnx.export`: the operators
are then the ones that ONNX Runtime and TensorRT are fast at whatever torch is installed,
every reshape has a constant target, and the real size takes no memory and no time.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import onnx_ir as ir

from uhd_edge.export.graphs.graph_builder import GraphBuilder, graph_input
from uhd_edge.runtime.vision.patches import UNCOMPRESSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.export.graphs.graph_builder import ReadTensor
    from uhd_edge.export.tower_config import TowerConfig
    from uhd_edge.runtime.modes import Mode

TOWER, CONNECTOR = "vision_tower", "merger"
COMPRESSOR = f"{TOWER}.vit_merger"


def encoder_graph(config: TowerConfig, read: ReadTensor, *, modes: Sequence[Mode]) -> ir.Model:
    """Build the encoder of `modes`, with dynamic batch and patch count.

    `patches` float32 [B, N, 3*p*p] and `position_ids` int64 [B, N] -> `features` float32
    [B, N / 4, d] (16x) or [B, N, d] (4x). `read` returns a weight by its name below `model.`.

    The encoder of both modes has a third input, `uncompressed` int64 [B, K]: the last K windows
    of a view are not compressed. K is 0 in 16x and N / 4 in 4x; the numbers are not read. So one
    engine holds the weights for both modes, and no branch has to be taken while it runs.
    """
    graph = GraphBuilder(read)
    patches = graph_input("patches", ir.DataType.FLOAT, ["batch", "patches", config.patch_values])
    position_ids = graph_input("position_ids", ir.DataType.INT64, ["batch", "patches"])
    uncompressed = graph_input(UNCOMPRESSED, ir.DataType.INT64, ["batch", UNCOMPRESSED])
    both = len(modes) > 1
    hidden = _embed(graph, config, patches, position_ids)
    for index in range(config.layers):
        hidden = _layer(graph, config, hidden, f"{TOWER}.encoder.layers.{index}")
        if index == config.insert_layer and "16x" in modes:
            windows = _windows(graph, config, hidden)
            compress = _compress if not both else partial(_compress_first, uncompressed=uncompressed)
            hidden = compress(graph, config, windows)
    features = _layer_norm(graph, hidden, f"{TOWER}.post_layernorm", config.hidden, config.epsilon)
    axis = "features" if both else "windows" if "16x" in modes else "patches"
    _declare(features, "features", ["batch", axis, config.hidden])
    inputs = [patches, position_ids, uncompressed] if both else [patches, position_ids]
    return graph.model("encoder" if both else f"encoder-{modes[0]}", inputs, features)


def connector_graph(config: TowerConfig, read: ReadTensor) -> ir.Model:
    """Build the connector: `features` float32 [B, M, d] -> `embeddings` float32 [B, M / 4**rounds, d_llm]."""
    graph = GraphBuilder(read)
    features = graph_input("features", ir.DataType.FLOAT, ["batch", "features", config.hidden])
    merged = config.merge * config.hidden
    hidden = features
    for index in range(config.merge_rounds):
        scope = f"{CONNECTOR}.mlp.{index}"
        width = config.llm_hidden if index == config.merge_rounds - 1 else config.hidden
        hidden = graph.node("Reshape", scope, [hidden, graph.integers(0, -1, merged)])
        hidden = _layer_norm(graph, hidden, f"{scope}.pre_norm", merged, 1e-6)
        hidden = _linear(graph, hidden, f"{scope}.linear_1", merged, merged)
        hidden = graph.node("Gelu", scope, [hidden], {"approximate": "none"})
        hidden = _linear(graph, hidden, f"{scope}.linear_2", merged, width)
    _declare(hidden, "embeddings", ["batch", "tokens", config.llm_hidden])
    return graph.model("connector", [features], hidden)


def _declare(value: ir.Value, name: str, axes: list[int | str]) -> None:
    value.name, value.type, value.shape = name, ir.TensorType(ir.DataType.FLOAT), ir.Shape(axes)


def _embed(graph: GraphBuilder, config: TowerConfig, patches: ir.Value, position_ids: ir.Value) -> ir.Value:
    """[B, N, 3*p*p] and [B, N] -> [B, N, d]."""
    scope = f"{TOWER}.embeddings"
    embedded = _linear(graph, patches, f"{scope}.patch_embedding", config.patch_values, config.hidden)
    table = graph.weight(f"{scope}.position_embedding.weight", (config.table_side**2, config.hidden))
    positions = graph.node("Gather", f"{scope}.position_embedding", [table, position_ids], {"axis": 0})
    return graph.node("Add", scope, [embedded, positions])


def _layer(graph: GraphBuilder, config: TowerConfig, hidden: ir.Value, scope: str) -> ir.Value:
    """[B, T, d] -> [B, T, d]."""
    normed = _layer_norm(graph, hidden, f"{scope}.layer_norm1", config.hidden, config.epsilon)
    attended = _attention(graph, config, normed, f"{scope}.self_attn", leading=1)
    hidden = graph.node("Add", scope, [hidden, attended])
    normed = _layer_norm(graph, hidden, f"{scope}.layer_norm2", config.hidden, config.epsilon)
    inner = _linear(graph, normed, f"{scope}.mlp.fc1", config.hidden, config.intermediate)
    inner = graph.node("Gelu", f"{scope}.mlp", [inner], {"approximate": "tanh"})
    return graph.node(
        "Add", scope, [hidden, _linear(graph, inner, f"{scope}.mlp.fc2", config.intermediate, config.hidden)]
    )


def _attention(graph: GraphBuilder, config: TowerConfig, hidden: ir.Value, scope: str, *, leading: int) -> ir.Value:
    """[.., T, d] -> [.., T, d] with `leading` axes before T: the batch, and the windows if there are any."""
    first = list(range(leading))
    tokens, heads, values = leading, leading + 1, leading + 2
    split = graph.integers(*[0] * leading, 0, config.heads, config.hidden // config.heads)

    def project(name: str, order: list[int]) -> ir.Value:
        projected = _linear(graph, hidden, f"{scope}.{name}", config.hidden, config.hidden)
        projected = graph.node("Reshape", f"{scope}.{name}", [projected, split])
        return graph.node("Transpose", f"{scope}.{name}", [projected], {"perm": [*first, *order]})

    # Scaled before the product, so that the scores keep in range in FP16.
    scale = graph.number((config.hidden // config.heads) ** -0.5, "attention_scale")
    queries = graph.node("Mul", scope, [project("q_proj", [heads, tokens, values]), scale])
    scores = graph.node("MatMul", scope, [queries, project("k_proj", [heads, values, tokens])])
    weights = graph.node("Softmax", scope, [scores], {"axis": -1})
    mixed = graph.node("MatMul", scope, [weights, project("v_proj", [heads, tokens, values])])
    mixed = graph.node("Transpose", scope, [mixed], {"perm": [*first, heads, tokens, values]})
    joined = graph.node("Reshape", scope, [mixed, graph.integers(*[0] * leading, 0, config.hidden)])
    return _linear(graph, joined, f"{scope}.out_proj", config.hidden, config.hidden)


def _windows(graph: GraphBuilder, config: TowerConfig, hidden: ir.Value) -> ir.Value:
    """[B, N, d] -> [B, W, window, d]."""
    return graph.node("Reshape", COMPRESSOR, [hidden, graph.integers(0, -1, config.window, config.hidden)])


def _compress_first(graph: GraphBuilder, config: TowerConfig, windows: ir.Value, *, uncompressed: ir.Value) -> ir.Value:
    """[B, W, window, d] -> [B, W - K + K * window, d]: the tokens of the last K windows stay as they are.

    With K = 0 or K = W one of the two parts is empty, which costs nothing.
    """
    axis, count = graph.integers(1), _size(graph, windows)
    border = graph.integer_node("Sub", COMPRESSOR, [count, _size(graph, uncompressed)])
    first = graph.node("Slice", COMPRESSOR, [windows, graph.integers(0), border, axis])
    rest = graph.node("Slice", COMPRESSOR, [windows, border, count, axis])
    tokens = graph.node("Reshape", COMPRESSOR, [rest, graph.integers(0, -1, config.hidden)])
    return graph.node("Concat", COMPRESSOR, [_compress(graph, config, first), tokens], {"axis": 1})


def _size(graph: GraphBuilder, value: ir.Value) -> ir.Value:
    """Return the size of the second axis, int64 [1]."""
    # TensorRT 10.3 does not know the attributes of Shape that would leave out the other axes.
    shape = graph.integer_node("Shape", COMPRESSOR, [value])
    return graph.integer_node("Gather", COMPRESSOR, [shape, graph.integers(1)], {"axis": 0})


def _compress(graph: GraphBuilder, config: TowerConfig, windows: ir.Value) -> ir.Value:
    """[B, W, window, d] -> [B, W, d]: attention within each window, then an MLP over it plus its mean."""
    scope = COMPRESSOR
    fused = config.window * config.hidden
    inner = config.window * config.intermediate
    normed = _layer_norm(graph, windows, f"{scope}.layer_norm1", config.hidden, config.epsilon)
    attended = _attention(graph, config, normed, f"{scope}.self_attn", leading=2)
    windows = graph.node("Add", scope, [windows, attended])
    mean = graph.node("ReduceMean", scope, [windows, graph.integers(2)], {"keepdims": 0})
    merged = graph.node("Reshape", scope, [windows, graph.integers(0, 0, fused)])
    merged = _layer_norm(graph, merged, f"{scope}.pre_norm", fused, config.epsilon)
    merged = _linear(graph, merged, f"{scope}.linear_1", fused, inner)
    merged = graph.node("Gelu", scope, [merged], {"approximate": "tanh"})
    return graph.node("Add", scope, [_linear(graph, merged, f"{scope}.linear_2", inner, config.hidden), mean])


def _linear(graph: GraphBuilder, hidden: ir.Value, name: str, width: int, output: int) -> ir.Value:
    """[.., width] -> [.., output]; a torch weight is [output, width], and MatMul reads it the other way round."""
    weight = graph.weight(f"{name}.weight", (output, width), transposed=True)
    product = graph.node("MatMul", name, [hidden, weight])
    return graph.node("Add", name, [product, graph.weight(f"{name}.bias", (output,))])


def _layer_norm(graph: GraphBuilder, hidden: ir.Value, name: str, width: int, epsilon: float) -> ir.Value:
    """Normalize the last axis; one operator, which TensorRT computes in FP32 and ONNX Runtime fuses."""
    inputs = [hidden, graph.weight(f"{name}.weight", (width,)), graph.weight(f"{name}.bias", (width,))]
    return graph.node("LayerNormalization", name, inputs, {"axis": -1, "epsilon": epsilon})
