"""The parts of an ONNX graph that a rewrite looks at: nodes, who reads what, and small constants."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from uhd_edge.engines.fusing.wire import bytes_field, fields, float_field, grouped, integer_field, messages, varint

if TYPE_CHECKING:
    from collections.abc import Mapping

# Field numbers in onnx.proto.
NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 3, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_FLOAT, _ATTRIBUTE_INTEGER, _ATTRIBUTE_INTEGERS, _ATTRIBUTE_TYPE = 1, 2, 3, 8, 20
_TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 2, 8, 9
_VALUE_NAME = 1

# Values of enumerations in onnx.proto.
_TYPE_FLOAT, _TYPE_INTEGER = 1, 2  # of attributes
_FLOAT, _INT64 = 1, 7  # of tensors


@dataclass(frozen=True)
class Node:
    """One operator: where it stands in the file, its inputs and outputs by name, and its attributes as written."""

    place: int
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[memoryview, ...]

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of a Transpose; empty for other operators."""
        return next((_integers(one) for one in self.attributes if _text(one, _ATTRIBUTE_NAME) == "perm"), ())


class OnnxGraph:
    """A GraphProto, read once. Raises `ValueError` or `IndexError` where it is none."""

    def __init__(self, graph: memoryview) -> None:
        parts = grouped(graph)
        self.nodes = [_node(place, node) for place, node in enumerate(parts.get(NODE, ()))]
        self.inputs = {_text(value, _VALUE_NAME) for value in parts.get(_INPUT, ())}
        self._outputs = {_text(value, _VALUE_NAME) for value in parts.get(_OUTPUT, ())}
        self._tensors = parts.get(_INITIALIZER, ())
        self._makers = {name: node for node in self.nodes for name in node.outputs}
        self._readers = {name: node for node in self.nodes for name in node.inputs}
        self._reads = Counter(name for node in self.nodes for name in node.inputs)

    def maker(self, value: str, operator: str = "") -> Node | None:
        """Return the node that makes `value`, if it is an `operator` (default: any)."""
        node = self._makers.get(value)
        return node if node is not None and operator in ("", node.operator) else None

    def only_reader(self, value: str, operator: str) -> Node | None:
        """Return the node that reads `value`, if it is an `operator`, and nothing else wants the value."""
        node = self._readers.get(value)
        return node if node is not None and self.is_inner(value) and node.operator == operator else None

    def is_inner(self, value: str) -> bool:
        """Whether one node reads `value`, once, and the graph does not return it."""
        return self._reads[value] == 1 and value not in self._outputs

    def number(self, name: str) -> float | None:
        """Return the float32 constant `name`; None for another type, several numbers, or numbers kept elsewhere."""
        content = self._constant(name, _FLOAT)
        return struct.unpack("<f", content)[0] if len(content) == 4 else None

    def integers(self, name: str) -> tuple[int, ...]:
        """Return the int64 constant `name`; empty where there is none."""
        content = self._constant(name, _INT64)
        return struct.unpack(f"<{len(content) // 8}q", content[: len(content) // 8 * 8])

    def _constant(self, name: str, kind: int) -> bytes:
        tensor = self._constants.get(name)
        if tensor is None or not any(one.number == _TENSOR_TYPE and one.content == kind for one in fields(tensor)):
            return b""
        return bytes(next(messages(tensor, _TENSOR_RAW), b""))

    @cached_property
    def _constants(self) -> Mapping[str, memoryview]:
        return {_text(tensor, _TENSOR_NAME): tensor for tensor in self._tensors}


def written_node(
    operator: str, domain: str, inputs: tuple[str, ...], output: str, attributes: Mapping[str, int | float]
) -> bytes:
    """Write a node, named after its output, as a field of its graph."""
    texts = {_NODE_OUTPUT: output, _NODE_NAME: f"{output}/{operator}", _NODE_OPERATOR: operator, _NODE_DOMAIN: domain}
    parts = [bytes_field(_NODE_INPUT, value.encode()) for value in inputs]
    parts += [bytes_field(number, text.encode()) for number, text in texts.items()]
    parts += [bytes_field(_NODE_ATTRIBUTE, _attribute(key, value)) for key, value in attributes.items()]
    return bytes_field(NODE, b"".join(parts))


def _attribute(name: str, value: float) -> bytes:
    named = bytes_field(_ATTRIBUTE_NAME, name.encode())
    if isinstance(value, int):
        return named + integer_field(_ATTRIBUTE_INTEGER, value) + integer_field(_ATTRIBUTE_TYPE, _TYPE_INTEGER)
    return named + float_field(_ATTRIBUTE_FLOAT, value) + integer_field(_ATTRIBUTE_TYPE, _TYPE_FLOAT)


def _node(place: int, node: memoryview) -> Node:
    parts = grouped(node)
    inputs, outputs = (tuple(str(name, "utf-8") for name in parts.get(key, ())) for key in (_NODE_INPUT, _NODE_OUTPUT))
    operator = str(parts[_NODE_OPERATOR][0], "utf-8") if _NODE_OPERATOR in parts else ""
    return Node(place, operator, inputs, outputs, tuple(parts.get(_NODE_ATTRIBUTE, ())))


def _text(message: memoryview, number: int) -> str:
    return str(next(messages(message, number), b""), "utf-8")


def _integers(attribute: memoryview) -> tuple[int, ...]:
    """Read the integers of an attribute, which may be packed into one field or have a field each."""
    found: list[int] = []
    for number, content, _ in fields(attribute):
        if number == _ATTRIBUTE_INTEGERS and isinstance(content, int):
            found.append(content)
        elif number == _ATTRIBUTE_INTEGERS and isinstance(content, memoryview):
            position = 0
            while position < len(content):
                value, position = varint(content, position)
                found.append(value)
    return tuple(found)
