"""Find the products of a graph that are quantized, by its structure.

A *linear* is a MatMul with a weight. The MatMuls inside attention have none. The patch
embedding, which reads the graph's input, is excluded so that pixels keep their full precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

PRODUCT = "/MatMul"  # suffix of the name of a linear's node


@dataclass(frozen=True)
class Linear:
    """A product with a weight [in, out], named after its module; `site` is the name of its input value."""

    name: str
    site: str

    @property
    def weight(self) -> str:
        """The name of its weight in the graph."""
        return f"{self.name}.weight"

    @property
    def bias(self) -> str:
        """The name of its bias in the graph, if it has one."""
        return f"{self.name}.bias"

    @property
    def node(self) -> str:
        """The name of its node in the graph."""
        return f"{self.name}{PRODUCT}"


@dataclass(frozen=True)
class Site:
    """A value that one or more linears read, where one Q/DQ pair is inserted.

    `norm` is the module name of the LayerNorm that computes the value, if only the linears
    read it: then scales can be moved from the LayerNorm into the linears.
    """

    name: str
    linears: tuple[Linear, ...]
    norm: str | None


def find_sites(graph: ir.Graph) -> list[Site]:
    """List the sites of an FP32 graph in order of computation."""
    groups: dict[str, list[ir.Node]] = {}
    for node in graph:
        if is_linear(node) and not _reads_input(node):
            groups.setdefault(str(_left(node).name), []).append(node)
    return [_site(name, nodes) for name, nodes in groups.items()]


def is_linear(node: ir.Node) -> bool:
    """Whether `node` is a MatMul whose right side is a weight."""
    right = node.inputs[1] if node.op_type == "MatMul" else None
    return right is not None and right.is_initializer()


def _reads_input(node: ir.Node) -> bool:
    return _left(node).is_graph_input()


def _left(node: ir.Node) -> ir.Value:
    return cast("ir.Value", node.inputs[0])


def _site(name: str, nodes: Sequence[ir.Node]) -> Site:
    linears = tuple(Linear(str(node.name).removesuffix(PRODUCT), name) for node in nodes)
    value = _left(nodes[0])
    source = value.producer()
    if source is None or source.op_type != "LayerNormalization" or set(value.consumers()) != set(nodes):
        return Site(name, linears, None)
    return Site(name, linears, str(cast("ir.Value", source.inputs[1]).name).removesuffix(".weight"))
