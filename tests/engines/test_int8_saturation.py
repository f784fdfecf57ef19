"""INT8 on ONNX Runtime beside integers that cannot overflow, on processors with and without VNNI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.int8 import (
    WITH_VNNI,
    WITHOUT_VNNI,
    rows,
    save_saturating,
    true_product,
    where_int8_is_exact,
    where_int8_saturates,
)

from uhd_edge.engines.errors import EngineUnavailableError
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine

if TYPE_CHECKING:
    from uhd_edge.engines.processor import Processor


def computed(folder: Path, *, count: int, fused: bool, processor: Processor | None = None) -> np.ndarray:
    graph = save_saturating(folder / "saturating.onnx", fused=fused)
    with OnnxRuntimeEngine(graph, threads=1, processor=processor) as engine:
        return engine.run({"x": rows(count)})["y"]


# One row is multiplied by other code than several.
SHAPES = pytest.mark.parametrize("count", [1, 7, 64])
OPERATORS = pytest.mark.parametrize("fused", [False, True])


@SHAPES
@OPERATORS
def test_int8_is_what_integers_say_on_this_processor(tmp_path: Path, count: int, fused: bool) -> None:
    np.testing.assert_allclose(computed(tmp_path, count=count, fused=fused), true_product(rows(count)), rtol=1e-6)


def test_simulated_products_are_those_of_integers_on_every_processor(tmp_path: Path) -> None:
    """So graphs for TensorRT are measured, whose weights ONNX Runtime cannot take as uint8."""
    graph = save_saturating(tmp_path / "saturating.onnx", fused=False)
    for processor in (WITH_VNNI, WITHOUT_VNNI):
        with OnnxRuntimeEngine(graph, threads=1, products="simulated", processor=processor) as engine:
            np.testing.assert_allclose(engine.run({"x": rows(7)})["y"], true_product(rows(7)), rtol=1e-6)


@where_int8_saturates
@SHAPES
@OPERATORS
def test_without_vnni_it_would_overflow_as_if_there_were_vnni(tmp_path: Path, count: int, fused: bool) -> None:
    """The cure is what makes the difference: taken for a processor with VNNI, this one is wrong."""
    found = computed(tmp_path, count=count, fused=fused, processor=WITH_VNNI)
    expected = true_product(rows(count))
    assert np.abs(found[:, :2] / expected[:, :2]).max() < 0.9
    np.testing.assert_allclose(found[:, 6:], expected[:, 6:], rtol=1e-6)  # what fits is right in either case


@SHAPES
@OPERATORS
def test_a_weight_limited_in_pairs_is_exact_everywhere_and_summed_in_the_fast_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, fused: bool
) -> None:
    """Also where sums are added in 16 bits: with the slow sums this ONNX Runtime would be refused."""
    graph = save_saturating(tmp_path / "fitting.onnx", fused=fused, fitting=True)
    monkeypatch.setattr("onnxruntime.__version__", "1.23.2")
    for processor in (WITH_VNNI, WITHOUT_VNNI):
        with OnnxRuntimeEngine(graph, threads=1, processor=processor) as engine:
            found = engine.run({"x": rows(count)})["y"]
        np.testing.assert_allclose(found, true_product(rows(count), fitting=True), rtol=1e-6)


@where_int8_is_exact
@SHAPES
@OPERATORS
def test_with_sums_in_32_bits_the_cure_changes_nothing(tmp_path: Path, count: int, fused: bool) -> None:
    one, other = (
        computed(tmp_path, count=count, fused=fused, processor=processor) for processor in (WITH_VNNI, WITHOUT_VNNI)
    )
    np.testing.assert_array_equal(one, other)


def save_relu(file: Path) -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 64]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)
    return file


def test_an_onnx_runtime_that_would_abort_is_refused_for_int8_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    int8 = save_saturating(tmp_path / "int8.onnx", fused=False)
    exact = save_relu(tmp_path / "fp32.onnx")
    monkeypatch.setattr("onnxruntime.__version__", "1.23.2")
    with pytest.raises(EngineUnavailableError, match=r"no VNNI; calibrate it again, .* or use --precision fp32"):
        OnnxRuntimeEngine(int8, threads=1, processor=WITHOUT_VNNI)
    with OnnxRuntimeEngine(exact, threads=1, processor=WITHOUT_VNNI) as engine:
        assert engine.run({"x": rows(2)})["y"].shape == rows(2).shape
    with OnnxRuntimeEngine(int8, threads=1, processor=WITH_VNNI):
        pass
