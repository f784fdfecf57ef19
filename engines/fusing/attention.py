"""Replace attention by ONNX Runtime's fused operator, whose CPU kernel never stores the scores of all pairs of patches.

The graphs of a bundle are plain ONNX, for every tool to open. INT8 graphs for the CPU are written with the operator
(`calibration/graphs/fused_operators.py`); this is for the others, while they are opened. At the real size in FP32, on 2
cores of an AMD Zen 4, a process that encodes two views at a time takes 0.4 GB less of 2.7, and 1 to 2 % less time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.engines.fusing.onnx_graph import NODE, Node, OnnxGraph, written_node
from uhd_edge.engines.fusing.wire import bytes_field, fields, integer_field, messages

if TYPE_CHECKING:
    from pathlib import Path

OPERATOR, DOMAIN, VERSION = "MultiHeadAttention", "com.microsoft", 1

# Larger files hold weights, which are not worth a copy in memory. A bundle's graphs keep them outside.
LARGEST = 16_000_000

# Field numbers in onnx.proto.
_GRAPH, _OPSETS = 7, 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2

_HEADS_FIRST = (0, 2, 1, 3)  # [B, T, heads, values] -> [B, heads, T, values]
_KEYS_TURNED = (0, 2, 3, 1)  # [B, T, heads, values] -> [B, heads, values, T]


@dataclass(frozen=True)
class _Attention:
    """An attention block: the nodes it consists of, the last one at the end, its inputs, heads and scale."""

    nodes: tuple[Node, ...]
    inputs: tuple[str, str, str]
    heads: int
    scale: float


def with_fused_attention(file: Path) -> bytes | None:
    """Return the ONNX graph of `file` with fused attention; None where there is nothing to fuse or to read.

    Only attention of FP32 numbers among the patches of each view is replaced: not that within windows, not
    that with turned positions, and none of whose inner values anything else reads. Its inputs and its
    output keep their names.
    """
    try:
        if file.stat().st_size > LARGEST:
            return None
        content = file.read_bytes()
        if b"Softmax" not in content or OPERATOR.encode() in content:
            return None
        model = memoryview(content)
        (graph,) = messages(model, _GRAPH)
        found = _find(OnnxGraph(graph))
    except (OSError, ValueError, IndexError):
        return None  # opening it says what is wrong
    return _written(model, _replaced(graph, found)) if found else None


def _find(graph: OnnxGraph) -> list[_Attention]:
    blocks = (_attention(graph, node) for node in graph.nodes if node.operator == "Softmax")
    return [block for block in blocks if block is not None]


def _attention(graph: OnnxGraph, softmax: Node) -> _Attention | None:
    """Find the attention block around `softmax`; None for other kinds."""
    scores = graph.maker(softmax.inputs[0], "MatMul")
    scaled = graph.maker(scores.inputs[0], "Mul") if scores else None
    mixing = graph.only_reader(softmax.outputs[0], "MatMul")
    turned = graph.only_reader(mixing.outputs[0], "Transpose") if mixing else None
    joined = graph.only_reader(turned.outputs[0], "Reshape") if turned else None
    if scores is None or scaled is None or mixing is None or turned is None or joined is None:
        return None
    sides = (
        _split(graph, scaled.inputs[0], _HEADS_FIRST),
        _split(graph, scores.inputs[1], _KEYS_TURNED),
        _split(graph, mixing.inputs[1], _HEADS_FIRST),
    )
    scale = graph.number(scaled.inputs[1])
    if scale is None or turned.order != _HEADS_FIRST or mixing.inputs[0] != softmax.outputs[0]:
        return None
    heads = {_heads(graph, reshaped) for reshaped, _ in (side for side in sides if side)}
    inner = [scaled, scores, softmax, mixing, turned, *(node for side in sides if side for node in side)]
    if None in sides or len(heads) != 1 or not all(graph.is_inner(node.outputs[0]) for node in inner):
        return None
    asked, keys, values = (side[0].inputs[0] for side in sides if side)
    count = heads.pop()
    if not count or not _is_of_the_batch(graph, asked):
        return None
    return _Attention((*inner, joined), (asked, keys, values), count, scale)


def _split(graph: OnnxGraph, value: str, order: tuple[int, ...]) -> tuple[Node, Node] | None:
    """Return the Reshape into heads and the Transpose into `order` that make `value`."""
    turned = graph.maker(value, "Transpose")
    reshaped = graph.maker(turned.inputs[0], "Reshape") if turned else None
    return (reshaped, turned) if turned and reshaped and turned.order == order else None


def _heads(graph: OnnxGraph, reshaped: Node) -> int:
    """Return the number of heads that a Reshape makes; 0 where it makes something else of [B, T, width]."""
    target = graph.integers(reshaped.inputs[1])
    return target[2] if len(target) == 4 and target[:2] == (0, 0) else 0


def _is_of_the_batch(graph: OnnxGraph, value: str) -> bool:
    """Whether `value` is computed from an input; a resampler's queries are the same for every view, and come once."""
    while (node := graph.maker(value)) is not None:
        value = node.inputs[0]
    return value in graph.inputs


def _replaced(graph: memoryview, found: list[_Attention]) -> bytes:
    """Write the graph with an operator in the place of each block's last node, and without its others."""
    gone = {node.place for block in found for node in block.nodes}
    new = {block.nodes[-1].place: _operator(block) for block in found}
    parts: list[bytes | memoryview] = []
    place = 0
    for number, _, whole in fields(graph):
        if number == NODE:
            parts.append(new.get(place, b"") if place in gone else whole)
            place += 1
        else:
            parts.append(whole)
    return b"".join(parts)


def _operator(block: _Attention) -> bytes:
    (output,) = block.nodes[-1].outputs
    attributes: dict[str, int | float] = {"num_heads": block.heads, "scale": block.scale}
    return written_node(OPERATOR, DOMAIN, block.inputs, output, attributes)


def _written(model: memoryview, graph: bytes) -> bytes:
    """Write the model with `graph`, and say that it has operators of ONNX Runtime."""
    parts = [bytes_field(_GRAPH, graph) if number == _GRAPH else bytes(whole) for number, _, whole in fields(model)]
    if not any(DOMAIN.encode() in bytes(opset) for opset in messages(model, _OPSETS)):
        domain = bytes_field(_OPSET_DOMAIN, DOMAIN.encode())
        parts.append(bytes_field(_OPSETS, domain + integer_field(_OPSET_VERSION, VERSION)))
    return b"".join(parts)
