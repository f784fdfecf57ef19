"""The benchmark of an export of the real size says no where a limit is passed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.places import BENCHMARKS


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))  # its processes look there, too
    return importlib.import_module("real_size_export")


def save_graph(file: Path, weights: str, *, operator: str = "Add", value: float = 1.0) -> None:
    """Save an encoder or a connector of one step, with its one weight in `weights`."""
    patches, features, embeddings = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "count", 588])
        for name in ("patches", "features", "embeddings")
    )
    positions = helper.make_tensor_value_info("position_ids", TensorProto.INT64, [1, "count"])
    encodes = file.name.startswith("encoder")
    taken, given = (patches, features) if encodes else (features, embeddings)
    weight = numpy_helper.from_array(np.full(588, value, np.float32), "weight")
    node = helper.make_node(operator, [taken.name, "weight"], [given.name])
    uncompressed = helper.make_tensor_value_info("uncompressed", TensorProto.INT64, [1, "windows"])
    inputs = [taken, positions, uncompressed] if encodes else [taken]
    graph = helper.make_graph([node], "graph", inputs, [given], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, file, save_as_external_data=True, location=weights, size_threshold=0)


@pytest.fixture
def graphs(tmp_path: Path) -> Path:
    """An encoder and a connector, each with its weight file."""
    save_graph(tmp_path / "encoder-fp32.onnx", "encoder-fp32.weights")
    save_graph(tmp_path / "connector-fp32.onnx", "connector-fp32.weights")
    return tmp_path


def test_an_export_within_the_limits_passes(benchmark: Any, graphs: Path) -> None:
    benchmark.check_cost(benchmark.Cost(300, 10))
    benchmark.check(graphs, ["fp32"])
    benchmark.encode(graphs, "16x", "fp32")


@pytest.mark.parametrize(("cost", "said"), [((299, 10.1), "10.10 GB"), ((301, 1), "301 s")])
def test_too_much_memory_or_time_ends_it(benchmark: Any, cost: tuple[float, float], said: str) -> None:
    with pytest.raises(SystemExit, match=said):
        benchmark.check_cost(benchmark.Cost(*cost))


def test_an_encoder_with_another_weight_file_ends_it(benchmark: Any, graphs: Path) -> None:
    save_graph(graphs / "encoder-fp32.onnx", "other.weights")
    with pytest.raises(SystemExit, match="does not keep its weights in one file of its own"):
        benchmark.check(graphs, ["fp32"])


def test_a_graph_that_the_checker_refuses_ends_it(benchmark: Any, graphs: Path) -> None:
    save_graph(graphs / "connector-fp32.onnx", "other.weights", operator="NoSuchOperator")
    with pytest.raises(onnx.checker.ValidationError, match="NoSuchOperator"):
        benchmark.check(graphs, ["fp32"])


def test_an_output_that_is_not_finite_ends_it(benchmark: Any, graphs: Path) -> None:
    save_graph(graphs / "connector-fp32.onnx", "other.weights", value=float("nan"))
    with pytest.raises(SystemExit, match=r"16x fp32: 0\.0% of the embeddings are finite"):
        benchmark.encode(graphs, "16x", "fp32")


def test_a_step_that_fails_in_its_process_ends_it(benchmark: Any) -> None:
    assert benchmark.measured("a step that works", print).gigabytes > 0
    with pytest.raises(SystemExit, match="a step that fails failed"):
        benchmark.measured("a step that fails", sys.exit, 1)
