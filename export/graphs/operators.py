"""Linear, LayerNorm, attention and feed-forward as ONNX operators, with weights named after their module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.export.graphs.position_graphs import turn
from uhd_edge.export.places import halves_order

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir as ir
    from numpy.typing import NDArray

    from uhd_edge.export.graphs.graph_builder import GraphBuilder
    from uhd_edge.export.graphs.position_graphs import Turns


def linear(
    graph: GraphBuilder,
    hidden: ir.Value,
    name: str,
    width: int,
    output: int,
    *,
    order: NDArray[np.int64] | None = None,
) -> ir.Value:
    """[.., width] -> [.., output]; a torch weight is [output, width], and MatMul reads it the other way round.

    `order` [output] is the order in which its outputs come, where it is not the checkpoint's.
    """
    weight = graph.weight(f"{name}.weight", (output, width), transposed=True, order=order)
    product = graph.node("MatMul", name, [hidden, weight])
    return graph.node("Add", name, [product, graph.weight(f"{name}.bias", (output,), order=order)])


def layer_norm(graph: GraphBuilder, hidden: ir.Value, name: str, width: int, epsilon: float) -> ir.Value:
    """Normalize the last axis; one operator, which TensorRT computes in FP32 and ONNX Runtime fuses."""
    inputs = [hidden, graph.weight(f"{name}.weight", (width,)), graph.weight(f"{name}.bias", (width,))]
    return graph.node("LayerNormalization", name, inputs, {"axis": -1, "epsilon": epsilon})


def feed_forward(graph: GraphBuilder, hidden: ir.Value, scope: str, width: int, inner: int) -> ir.Value:
    """[.., width] -> [.., width]: Linear, tanh-GELU, Linear."""
    hidden = linear(graph, hidden, f"{scope}.fc1", width, inner)
    hidden = graph.node("Gelu", scope, [hidden], {"approximate": "tanh"})
    return linear(graph, hidden, f"{scope}.fc2", inner, width)


def attention(
    graph: GraphBuilder,
    hidden: ir.Value,
    scope: str,
    *,
    width: int,
    heads: int,
    leading: int = 1,
    queries: ir.Value | None = None,
    keys: ir.Value | None = None,
    turns: Turns | None = None,
    query_turns: Turns | None = None,
) -> ir.Value:
    """[.., T, width] -> [.., T, width], or [.., Q, width] with `queries`; what `keys` is, `attention.py` says.

    `leading` is the number of axes before T: the batch, and the windows if there are any. Queries and
    keys turn by `turns` if there are any, and `queries` by `query_turns`.
    """
    first = list(range(leading))
    tokens, head, values = leading, leading + 1, leading + 2
    split = graph.integers(*[0] * leading, 0, heads, width // heads)

    def project(given: ir.Value | None, name: str, order: list[int], turned: Turns | None = None) -> ir.Value:
        halves = None if turned is None else halves_order(width, heads)
        projected = linear(graph, hidden if given is None else given, f"{scope}.{name}", width, width, order=halves)
        projected = graph.node("Reshape", f"{scope}.{name}", [projected, split])
        projected = turn(graph, projected, f"{scope}.{name}.turn", turned, width // heads)
        return graph.node("Transpose", f"{scope}.{name}", [projected], {"perm": [*first, *order]})

    # Scaled before the product, so that the scores keep in range in FP16.
    scale = graph.number((width // heads) ** -0.5, "attention_scale")
    asked = project(queries, "q_proj", [head, tokens, values], turns if queries is None else query_turns)
    asked = graph.node("Mul", scope, [asked, scale])
    scores = graph.node("MatMul", scope, [asked, project(keys, "k_proj", [head, values, tokens], turns)])
    weights = graph.node("Softmax", scope, [scores], {"axis": -1})
    mixed = graph.node("MatMul", scope, [weights, project(None, "v_proj", [head, tokens, values])])
    mixed = graph.node("Transpose", scope, [mixed], {"perm": [*first, head, tokens, values]})
    joined = graph.node("Reshape", scope, [mixed, graph.integers(*[0] * leading, 0, width)])
    return linear(graph, joined, f"{scope}.out_proj", width, width)
