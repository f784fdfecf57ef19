"""OpenVINO, really run: what it computes, when it is chosen, and what is said without it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.int8 import (
    HERE,
    WITH_VNNI,
    WITHOUT_VNNI,
    rows,
    save_saturating,
    true_product,
    where_int8_is_exact,
    where_int8_saturates,
)

from uhd_edge.calibration.calibrate import Calibrated
from uhd_edge.engines.errors import EngineError, EngineUnavailableError
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.engines.openvino import OPENVINO, OpenVinoEngine
from uhd_edge.engines.processor import Processor
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.vision.encoder import VisionEncoder

openvino = pytest.importorskip("openvino")


def views(batch: int, patches: int, mode: str = "16x") -> dict[str, np.ndarray]:
    random = np.random.default_rng(batch * patches)
    return {
        "patches": random.uniform(-1, 1, (batch, patches, 588)).astype(np.float32),
        "position_ids": random.integers(0, 1024, (batch, patches)),
        "uncompressed": np.zeros((batch, 0 if mode == "16x" else patches // 4), np.int64),
    }


def test_it_computes_what_onnx_runtime_computes_whatever_the_shape() -> None:
    graph, _ = Bundle.open().graphs("16x", "fp32")
    with OpenVinoEngine(graph, threads=1) as tested, OnnxRuntimeEngine(graph, threads=1) as exact:
        assert tested.provider == OPENVINO
        for batch, patches, mode in ((1, 64, "16x"), (3, 32, "4x"), (1, 64, "4x"), (1, 64, "16x"), (2, 144, "16x")):
            given = views(batch, patches, mode)
            expected = exact.run(given)["features"]
            np.testing.assert_allclose(tested.run(given)["features"], expected, atol=1e-4 * np.abs(expected).max())


def saturating(folder: Path, count: int, *, fused: bool, processor: Processor | None) -> np.ndarray:
    graph = save_saturating(folder / "saturating.onnx", fused=fused)
    with OpenVinoEngine(graph, threads=1, processor=processor) as engine:
        return engine.run({"x": rows(count)})["y"]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("count", [1, 64])
def test_int8_is_what_integers_say_on_this_processor(tmp_path: Path, count: int, fused: bool) -> None:
    found = saturating(tmp_path, count, fused=fused, processor=HERE)
    np.testing.assert_allclose(found, true_product(rows(count)), rtol=1e-5)


@pytest.mark.parametrize("count", [1, 64])
def test_a_weight_limited_in_pairs_is_exact_everywhere(tmp_path: Path, count: int) -> None:
    graph = save_saturating(tmp_path / "fitting.onnx", fused=False, fitting=True)
    for processor in (WITH_VNNI, WITHOUT_VNNI):
        with OpenVinoEngine(graph, threads=1, processor=processor) as engine:
            found = engine.run({"x": rows(count)})["y"]
        np.testing.assert_allclose(found, true_product(rows(count), fitting=True), rtol=1e-5)


@where_int8_saturates
def test_its_int8_products_would_overflow_here(tmp_path: Path) -> None:
    found = saturating(tmp_path, 64, fused=False, processor=WITH_VNNI)
    assert np.abs(found[:, :2] / true_product(rows(64))[:, :2]).max() < 0.9


@where_int8_is_exact
def test_its_int8_products_and_those_of_fp32_are_the_same_here(tmp_path: Path) -> None:
    one, other = (saturating(tmp_path, 64, fused=False, processor=each) for each in (WITH_VNNI, WITHOUT_VNNI))
    np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("kind", ["int8", "int8-tensorrt"])
def test_it_runs_either_kind_of_int8_graph_whole(calibrated: Calibrated, kind: str) -> None:
    """ONNX Runtime's own operators too; it refuses what it would have to share with another provider."""
    graph, _ = calibrated.bundle.graphs("16x", kind)  # type: ignore[arg-type]
    with VisionEncoder(calibrated.bundle, engine="onnxruntime", precision="int8", threads=1) as encoder:
        expected = encoder.open_mode("16x").encoder
        given = views(1, 64)
        exact = expected.run(given)["features"].ravel()
    with OpenVinoEngine(graph, threads=1, arithmetic="half") as tested:
        found = tested.run(given)["features"].ravel()
    assert found @ exact / np.linalg.norm(found) / np.linalg.norm(exact) > 0.999


def save_unknown(folder: Path) -> Path:
    """A graph with an operator that ONNX Runtime has and OpenVINO has not."""
    matrix = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 3])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [])
    graph = helper.make_graph([helper.make_node("Det", ["x"], ["y"])], "unknown", [matrix], [result])
    file = folder / "unknown.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)
    return file


def test_a_graph_that_it_cannot_compute_is_refused_with_the_reason_every_time(tmp_path: Path) -> None:
    graph = save_unknown(tmp_path)
    for _ in range(2):
        with pytest.raises(EngineUnavailableError, match=rf"unknown.onnx: {OPENVINO} cannot open it \(.*Det") as told:
            OpenVinoEngine(graph)
        assert "\n" not in str(told.value)


def test_a_library_that_does_not_load_says_why_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, _ = Bundle.open().graphs("16x", "fp32")

    def broken() -> Any:
        raise RuntimeError("Exception from src/core.cpp:1:\nno plugins.xml\n")

    monkeypatch.setattr(openvino, "Core", broken)
    for _ in range(2):
        with pytest.raises(EngineUnavailableError, match=r"OpenVINO cannot be loaded \(no plugins.xml\); use onnxr"):
            OpenVinoEngine(graph)


def test_a_machine_without_a_device_for_the_cpu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class GpuAlone:
        available_devices = ("GPU",)

    graph, _ = Bundle.open().graphs("16x", "fp32")
    monkeypatch.setattr(openvino, "Core", GpuAlone)
    with pytest.raises(EngineUnavailableError, match="cannot use this processor, only GPU; use onnxruntime"):
        OpenVinoEngine(graph)


def test_a_missing_or_damaged_graph_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"none\.onnx: no such graph"):
        OpenVinoEngine(tmp_path / "none.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"broken\.onnx: is not an ONNX graph"):
        OpenVinoEngine(tmp_path / "broken.onnx")


def test_weights_beside_the_graph_are_read_and_missed(tmp_path: Path) -> None:
    graph = save_saturating(tmp_path / "graph.onnx", fused=False)
    onnx.save(onnx.load(graph), graph, save_as_external_data=True, location="graph.weights", size_threshold=100)
    with OpenVinoEngine(graph, threads=1) as engine:
        np.testing.assert_allclose(engine.run({"x": rows(3)})["y"], true_product(rows(3)), rtol=1e-5)
    (tmp_path / "graph.weights").unlink()
    with pytest.raises(EngineError, match=r"graph.onnx: its weights are missing \(graph.weights\); export"):
        OpenVinoEngine(graph)


def test_what_it_is_given_is_checked_and_a_closed_engine_says_so(tmp_path: Path) -> None:
    engine = OpenVinoEngine(save_saturating(tmp_path / "graph.onnx", fused=False), threads=1)
    for wrong in ({"x": rows(3).astype(np.float64)}, {"x": rows(3)[:, :5]}, {"z": rows(3)}):
        with pytest.raises(EngineError, match=r"float32 \[\?, 64\]"):
            engine.run(wrong)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.run({"x": rows(3)})


def test_what_it_returned_stays_when_it_runs_again_and_when_other_threads_run_it(tmp_path: Path) -> None:
    given = [rows(count) * (count / 64) for count in (1, 5, 64, 5, 1, 33)]
    found: dict[int, np.ndarray] = {}
    with OpenVinoEngine(save_saturating(tmp_path / "graph.onnx", fused=False), threads=1) as engine:

        def run(index: int) -> None:
            found[index] = engine.run({"x": given[index]})["y"]

        threads = [threading.Thread(target=run, args=(index,)) for index in range(len(given))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for index, x in enumerate(given):
        np.testing.assert_allclose(found[index], true_product(x), rtol=1e-5)


def test_it_uses_as_many_cores_as_it_is_given_and_pins_none() -> None:
    graph, _ = Bundle.open().graphs("16x", "fp32")
    with OpenVinoEngine(graph, threads=1) as engine:
        assert engine._model.get_property("INFERENCE_NUM_THREADS") == 1
        assert engine._model.get_property("ENABLE_CPU_PINNING") is False
