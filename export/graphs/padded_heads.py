"""A second flavour of an FP16 encoder for TensorRT: attention heads padded to a multiple of 16 numbers.

SigLIP's heads have 72 numbers. TensorRT fuses heads of any multiple of 8, yet a tensor core multiplies 16
FP16 numbers at a time, and from 10.14 on TensorRT pads heads itself where it helps (its release notes, "MHA
fusions"). JetPack 6.2 has 10.3 and JetPack 7.1 has 10.13, so here the graph does it: the weights of
queries, keys and values get rows of zeros for each head, and that of the output gets as many that nothing
reads. The scale stays that of the unpadded head. Products with zeros change no sum, so the graph computes the
same numbers.

The padded weights are not stored. The graph pads those it has, and TensorRT does that once, when it builds.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import onnx_ir as ir

from uhd_edge.runtime.errors import ExportError

MULTIPLE = 16


def write_padded(graph: Path, file: Path) -> None:
    """Write the FP32 or FP16 encoder `graph` with padded heads to `file`, in the same folder: they share weights.

    Raises `ExportError` if it has no attention that can be padded, and `OSError`.
    """
    model = ir.load(graph)
    if not pad_heads(model):
        raise ExportError(
            f"{graph}: its attention heads need no padding, turn by their place (MoonViT), or are not those of an "
            "exported encoder"
        )
    ir.save(model, file)


def pad_heads(model: ir.Model) -> int:
    """Pad the heads of each attention in `model`, which `onnx_tower` has built, and count the attentions changed.

    Heads of a multiple of 16 numbers, attention in INT8, and heads that turn by halves (MoonViT's) are
    left as they are.
    """
    graph = model.graph
    changed = 0
    for softmax in [node for node in graph if node.op_type == "Softmax"]:
        attention = _Attention.around(softmax)
        if attention is not None and attention.size % MULTIPLE:
            attention.pad(graph)
            changed += 1
    return changed


class _Attention:
    """One attention: the three Reshapes that split heads, the one that joins them, and the products beside them."""

    def __init__(self, splits: list[ir.Node], join: ir.Node, products: list[ir.Node], heads: int, size: int) -> None:
        self.splits, self.join, self.products = splits, join, products
        self.heads, self.size = heads, size

    @classmethod
    def around(cls, softmax: ir.Node) -> _Attention | None:
        """Find the attention of a softmax; None where a product has no stored FP weight, or where heads turn."""
        scores = _before(softmax, "MatMul")
        if _turns(scores):
            return None
        mixed = _after(softmax, "MatMul")
        splits = [_before(scores, "Reshape", 0), _before(scores, "Reshape", 1), _before(mixed, "Reshape", 1)]
        join = _after(mixed, "Reshape")
        products = [*(_before(split, "MatMul") for split in splits), _after(join, "MatMul")]
        if any(node.inputs[1] is None or node.inputs[1].const_value is None for node in products):
            return None
        *_, heads, size = _constant(splits[0].inputs[1])
        return cls(splits, join, products, int(heads), int(size))

    def pad(self, graph: ir.Graph) -> None:
        """Pad the weights in front of the Reshapes, and what the Reshapes expect."""
        width = self.heads * self.size
        wanted = -(-self.size // MULTIPLE) * MULTIPLE
        for split, product in zip(self.splits, self.products, strict=False):
            self._pad(graph, product, 1, axis=1, wanted=wanted)
            add = _after(product, "Add")
            self._pad(graph, add, _bias(add), axis=0, wanted=wanted)
            target = _constant(split.inputs[1])
            target[-1] = wanted
            split.replace_input_with(1, _integers(graph, target))
        target = _constant(self.join.inputs[1])
        target[target == width] = self.heads * wanted
        self.join.replace_input_with(1, _integers(graph, target))
        self._pad(graph, self.products[-1], 1, axis=0, wanted=wanted)

    def _pad(self, graph: ir.Graph, node: ir.Node, index: int, *, axis: int, wanted: int) -> None:
        """Replace a stored weight or bias by one whose `axis`, heads * size, is padded head by head."""
        weight = cast("ir.Value", node.inputs[index])
        sizes = list(cast("ir.Shape", weight.shape).numpy())
        apart = [*sizes[:axis], self.heads, self.size, *sizes[axis + 1 :]]
        joined = [*sizes[:axis], self.heads * wanted, *sizes[axis + 1 :]]
        pads = np.zeros((2, len(apart)), np.int64)
        pads[1, axis + 1] = wanted - self.size
        steps = (
            ("Reshape", _integers(graph, np.array(apart))),
            ("Pad", _integers(graph, pads.ravel())),
            ("Reshape", _integers(graph, np.array(joined))),
        )
        value = weight
        for number, (operator, target) in enumerate(steps):
            step = ir.node(operator, [value, target], name=f"{weight.name}/{operator}_{number}")
            step.outputs[0].name = f"{weight.name}_padded_{number}"
            step.outputs[0].type = weight.type
            graph.insert_before(node, step)
            value = step.outputs[0]
        node.replace_input_with(index, value)


def _turns(scores: ir.Node) -> bool:
    """Whether the keys of `scores` have been turned: their halves are joined again before the Transpose."""
    joined = cast("ir.Value", _before(scores, "Transpose", 1).inputs[0]).producer()
    return joined is not None and joined.op_type == "Concat"


def _bias(add: ir.Node) -> int:
    return next(index for index, value in enumerate(add.inputs) if value is not None and value.const_value is not None)


def _before(node: ir.Node, operator: str, index: int = 0) -> ir.Node:
    """Go up from an input of `node`, through operators of one stored or computed input, to the next `operator`."""
    found = cast("ir.Value", node.inputs[index]).producer()
    while found is not None and found.op_type != operator:
        computed = [value for value in found.inputs if value is not None and value.producer() is not None]
        found = computed[0].producer() if computed else None
    if found is None:
        raise ExportError(f"{node.name}: is not part of an attention that uhd-edge has exported")
    return found


def _after(node: ir.Node, operator: str) -> ir.Node:
    """Go down from the output of `node`, which one node reads at a time, to the next `operator`."""
    (found,) = node.outputs[0].consumers()
    while found.op_type != operator:
        (found,) = found.outputs[0].consumers()
    return found


def _constant(value: ir.Value | None) -> np.ndarray:
    return np.array(cast("ir.TensorProtocol", cast("ir.Value", value).const_value).numpy())


def _integers(graph: ir.Graph, numbers: np.ndarray) -> ir.Value:
    """Return a constant int64 vector of the graph, which it shares with equal ones."""
    name = "padded_" + "_".join(str(number) for number in numbers)
    if name not in graph.initializers:
        tensor = ir.tensor(numbers.astype(np.int64), name=name)
        graph.register_initializer(
            ir.Value(
                name=name, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape(numbers.shape), const_value=tensor
            )
        )
    return graph.initializers[name]
