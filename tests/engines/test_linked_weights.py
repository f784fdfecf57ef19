"""Weights that are links to another disk, which ONNX Runtime and OpenVINO do not open."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import pytest
from support.int8 import rows, save_saturating, true_product

from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.engines.openvino import OpenVinoEngine

Opened: TypeAlias = "type[OnnxRuntimeEngine] | type[OpenVinoEngine]"


@pytest.fixture(params=["onnxruntime", "openvino"])
def opened(request: pytest.FixtureRequest) -> Opened:
    if request.param == "onnxruntime":
        return OnnxRuntimeEngine
    pytest.importorskip("openvino")
    return OpenVinoEngine


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A graph with its weights beside it."""
    (tmp_path / "graphs").mkdir()
    file = save_saturating(tmp_path / "graphs" / "graph.onnx", fused=False)
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="graph.weights", size_threshold=100)
    return file


def test_weights_that_are_links_out_of_the_folder_are_named_with_what_to_do(opened: Opened, graph: Path) -> None:
    weights = graph.parent / "graph.weights"
    elsewhere = weights.rename(graph.parent.parent / "elsewhere.weights")
    weights.symlink_to(elsewhere)
    with pytest.raises(EngineError) as caught:
        opened(graph, threads=1)
    text = str(caught.value)
    assert text.startswith(f"{weights} is a link to {elsewhere}")
    assert "cp -rL" in text
    assert "export" not in text


def test_the_whole_folder_may_be_a_link(opened: Opened, graph: Path) -> None:
    link = graph.parent.parent / "link"
    link.symlink_to(graph.parent)
    with opened(link / graph.name, threads=1) as engine:
        np.testing.assert_allclose(engine.run({"x": rows(3)})["y"], true_product(rows(3)), rtol=1e-5)
