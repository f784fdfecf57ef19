"""The files of a graph, read without the package onnx, are those that onnx finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest

from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.graph_files import count_operators, graph_files

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle

GRAPH = "graphs/encoder-fp16.onnx"


def test_the_files_of_a_graph_are_those_that_onnx_finds(qwen3_bundle: Bundle) -> None:
    for graph in sorted((qwen3_bundle.path / "graphs").glob("*.onnx")):
        model = onnx.load(graph, load_external_data=False)
        named = {
            entry.value
            for tensor in model.graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
        assert graph_files(graph) == (graph, *(graph.parent / name for name in sorted(named)))


def test_the_operators_of_a_graph_are_counted_as_onnx_counts_them(qwen3_bundle: Bundle) -> None:
    graph = qwen3_bundle.path / GRAPH
    operators = [node.op_type for node in onnx.load(graph, load_external_data=False).graph.node]
    assert count_operators(graph, "Softmax") == operators.count("Softmax") == 4
    assert count_operators(graph, "Soft") == 0


def test_a_graph_with_its_weights_inside_is_one_file(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    model = onnx.load(qwen3_bundle.path / GRAPH)
    onnx.save(model, tmp_path / "whole.onnx")
    assert graph_files(tmp_path / "whole.onnx") == (tmp_path / "whole.onnx",)


@pytest.mark.parametrize("content", [b"\x3a\x7f", b"\x3a\xff\xff\xff", b"\x0f" * 9, b"\x80"])
def test_what_is_not_onnx_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(content)
    with pytest.raises(EngineError, match=r"graph.onnx: is not an ONNX graph"):
        graph_files(graph)
    with pytest.raises(EngineError, match=r"graph.onnx: is not an ONNX graph"):
        count_operators(graph, "Softmax")


def test_weights_outside_the_graphs_folder_are_refused(tmp_path: Path) -> None:
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    model = onnx.ModelProto(graph=onnx.GraphProto(name="g", initializer=[tensor]))
    (tmp_path / "graph.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match="outside its folder"):
        graph_files(tmp_path / "graph.onnx")
