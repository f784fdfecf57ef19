"""Finds the matrix products of a graph whose numbers could leave the range of FP16, for any picture.

No picture is needed for that. A row of d numbers that a LayerNorm has normalized is at most
sqrt(d) long, whatever the picture. By Cauchy-Schwarz, its product with a weight W [d, out] is
bounded by sqrt(d) times the lengths of W's columns. From that follow bounds for everything up
to the next LayerNorm.

In real towers the numbers stay far below these bounds, and the bounds far below 65504, the
largest number of FP16. A product whose bound is too large stays in FP32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Half of FP16's range, which leaves room for rounding errors and for another order of summation.
LIMIT = 2.0**15

# The next product in the same module: `out_proj` reads what the attention made of `v_proj`'s output, `fc2`
# and `linear_2` what GELU made of `fc1`'s and `linear_1`'s. A row's `_Bound.length` holds after either step.
_FOLLOWED_BY = {"v_proj": "out_proj", "fc1": "fc2", "linear_1": "linear_2"}
# These only take rows, or the means of rows.
_ROWS = frozenset({"ReduceMean", "Slice"})


@dataclass(frozen=True)
class _Bound:
    """Bounds for the output of a linear layer, for every possible input.

    `numbers` [out] bounds the absolute value in each channel, `length` the length of a row.
    """

    numbers: NDArray[np.floating]
    length: float


def products_near_overflow(graph: ir.Graph, balanced_size: float) -> frozenset[str]:
    """Names of the MatMuls that could read or produce a number larger than `LIMIT`.

    `graph` is an FP32 graph that `uhd_edge.export.graphs.onnx_tower` has built. `balanced_size` is
    the root mean square of each column of a weight whose product is added to the residual stream.
    """
    nodes = {str(node.name): node for node in graph}
    return frozenset(
        name
        for node in nodes.values()
        for name in (
            _near_overflow(node, nodes, balanced_size) if node.op_type == "LayerNormalization" else _without_bound(node)
        )
    )


def _without_bound(node: ir.Node) -> Iterator[str]:
    """A linear for which no bound is known: in a resampler those that read features, or keys with their places."""
    if node.op_type != "MatMul" or not _is_weight(node.inputs[1]):
        return
    source = cast("ir.Value", node.inputs[0]).producer()
    if source is None:  # the patch embedding: pixels are small
        return
    sums = source.op_type == "Add" and not any(_is_weight(value) for value in source.inputs)
    if sums or (source.op_type == "Slice" and cast("ir.Value", source.inputs[0]).is_graph_input()):
        yield str(node.name)


def _readers(value: ir.Value) -> Iterator[ir.Node]:
    """The products that read `value`, or rows of it, or means of its rows, which no row's bound is exceeded by."""
    for node in value.consumers():
        if node.op_type == "MatMul":
            yield node
        elif node.op_type in _ROWS:
            yield from _readers(node.outputs[0])


def _near_overflow(norm: ir.Node, nodes: dict[str, ir.Node], balanced_size: float) -> Iterator[str]:
    gain, shift = _array(norm.inputs[1]), _array(norm.inputs[2])
    linears = {_module(node): node for node in _readers(norm.outputs[0])}
    if _exceeds((np.sqrt(len(gain)) * np.abs(gain) + np.abs(shift)).max()):
        yield from (str(node.name) for node in linears.values())
    bounds = {module: _bound(node, gain, shift) for module, node in linears.items()}
    for module, bound in bounds.items():
        if _exceeds(bound.numbers.max()):
            yield str(linears[module].name)
        parent, _, last = module.rpartition(".")
        following = nodes.get(f"{parent}.{_FOLLOWED_BY.get(last)}/MatMul")
        # A balanced column of n numbers is `balanced_size` * sqrt(n) long.
        if following is not None and _exceeds(bound.length * balanced_size * np.sqrt(len(bound.numbers))):
            yield str(following.name)
        if last in ("q_proj", "k_proj") and _exceeds(bound.numbers.max()):
            yield f"{parent}/MatMul"  # the scores, also where queries and keys have been turned in between
        if last == "q_proj" and _exceeds(_largest_score(nodes, parent, gain, shift)):
            yield f"{parent}/MatMul"


def _is_weight(value: ir.Value | None) -> bool:
    return value is not None and value.is_initializer()


def _exceeds(bound: float) -> bool:
    """Whether `bound` is larger than `LIMIT`, or NaN, which infinite weights lead to."""
    return not bound <= LIMIT


def _bound(linear: ir.Node, gain: NDArray[np.float32], shift: NDArray[np.float32]) -> _Bound:
    weight, bias = _parameters(linear)
    longest = float(np.sqrt(len(gain)))
    offset = shift @ weight + bias
    columns = np.sqrt(np.square(gain) @ np.square(weight))
    return _Bound(
        numbers=longest * columns + np.abs(offset),
        length=float(longest * np.linalg.norm(columns) + np.linalg.norm(offset)),
    )


def _largest_score(
    nodes: dict[str, ir.Node], attention: str, gain: NDArray[np.float32], shift: NDArray[np.float32]
) -> float:
    """Bound an attention score: the scaled product of a query and a key of one head."""
    *_, heads, size = _array(nodes[f"{attention}.q_proj/Reshape"].inputs[1]).astype(int)
    scale = float(_array(nodes[f"{attention}/Mul"].inputs[1]))
    lengths = []
    for name in ("q_proj", "k_proj"):
        weight, bias = _parameters(nodes[f"{attention}.{name}/MatMul"])
        offset = shift @ weight + bias
        by_head = (gain[:, None] * weight).reshape(len(gain), heads, size).transpose(1, 2, 0)  # [heads, size, d]
        # The largest singular value of each head. A bound from the lengths of the rows would be far too
        # large, because the rows are far from parallel.
        stretch = np.sqrt(np.linalg.eigvalsh(by_head @ by_head.transpose(0, 2, 1))[:, -1].clip(min=0))
        lengths.append(float(np.sqrt(len(gain))) * stretch + np.linalg.norm(offset.reshape(heads, size), axis=1))
    return float((lengths[0] * lengths[1]).max() * scale)


def _parameters(linear: ir.Node) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight [d, out] and bias [out] of a linear layer."""
    (add,) = linear.outputs[0].consumers()
    bias = next(_array(value) for value in add.inputs if value is not None and value.is_initializer())
    return _array(linear.inputs[1]), bias


def _array(value: ir.Value | None) -> NDArray[np.float32]:
    tensor = cast("ir.TensorProtocol", cast("ir.Value", value).const_value)
    return tensor.numpy().astype(np.float32, copy=False)


def _module(node: ir.Node) -> str:
    return str(node.name).rpartition("/")[0]
