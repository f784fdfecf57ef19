"""Simulated engines: numpy computes what ONNX Runtime computes, and finds the sums that overflow."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from support.int8 import copy_of
from support.places import EXAMPLES
from support.vision.int8_sums import with_channel_scales

from uhd_edge.calibration.calibrate import Calibrated
from uhd_edge.calibration.simulation.engine import SimulatedEngine
from uhd_edge.calibration.simulation.simulate import simulate_bundle
from uhd_edge.cli.main import exit_code
from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import GraphKind, record_file
from uhd_edge.runtime.modes import Mode

MODES: tuple[Mode, ...] = ("16x", "4x")


def views(mode: Mode) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "patches": random.uniform(-1, 1, (2, 64, 588)).astype(np.float32),
        "position_ids": random.integers(0, 4900, (2, 64)),
        "uncompressed": np.zeros((2, 0 if mode == "16x" else 16), np.int64),
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "least"), [("fp32", 0.999999), ("fp16", 0.999999), ("int8-tensorrt", 0.999)])
def test_the_encoder_in_numpy_is_the_encoder_of_onnxruntime(
    calibrated: Calibrated, mode: Mode, kind: GraphKind, least: float
) -> None:
    graph, _ = calibrated.bundle.graphs(mode, kind)
    with SimulatedEngine(graph) as tested, OnnxRuntimeEngine(graph, threads=1, products="simulated") as other:
        found, expected = (engine.run(views(mode))["features"] for engine in (tested, other))
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    flat = found.ravel(), expected.ravel()
    assert flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1]) > least


def test_the_connector_in_numpy_is_the_connector_of_onnxruntime(calibrated: Calibrated) -> None:
    _, graph = calibrated.bundle.graphs("16x", "fp32")
    width = calibrated.bundle.manifest.vision.hidden_size
    given = {"features": np.random.default_rng(0).standard_normal((2, 8, width)).astype(np.float32)}
    with SimulatedEngine(graph) as tested, OnnxRuntimeEngine(graph, threads=1) as other:
        found, expected = (engine.run(given)["embeddings"] for engine in (tested, other))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_fp8_in_numpy_is_fp8_on_onnxruntime(fp8_tiny: Bundle, mode: Mode) -> None:
    graph, _ = fp8_tiny.graphs(mode, "fp8")
    given = views(mode) | {"position_ids": np.arange(64)[None].repeat(2, axis=0)}
    with SimulatedEngine(graph) as tested, OnnxRuntimeEngine(graph, threads=1, products="simulated") as other:
        found, expected = (engine.run(given)["features"].ravel() for engine in (tested, other))
    assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) > 0.999


def test_a_graph_with_other_operators_is_refused(calibrated: Calibrated) -> None:
    graph, _ = calibrated.bundle.graphs("16x", "int8")
    with pytest.raises(EngineError, match="cannot be simulated, MatMulIntegerToFloat, MultiHeadAttention is not"):
        SimulatedEngine(graph)


@pytest.fixture(scope="module")
def former(calibrated_tiny: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """uhd-tiny as an earlier version calibrated it: its weights have a scale for each channel."""
    bundle = copy_of(calibrated_tiny, tmp_path_factory.mktemp("former") / "bundle")
    encoder, _ = bundle.graphs("16x", "int8-tensorrt")
    with_channel_scales(encoder, encoder)
    name = encoder.relative_to(bundle.path).as_posix()
    manifest = bundle.manifest.model_copy(update={"files": {**bundle.manifest.files, name: record_file(encoder)}})
    (bundle.path / "bundle.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    return Bundle.open(bundle.path)


def test_uhd_tinys_sums_overflowed_with_a_scale_for_each_channel_and_none_does_now(
    calibrated_tiny: Bundle, former: Bundle
) -> None:
    pictures = {"bench.png": Image.open(EXAMPLES / "bench.png").convert("RGB")}
    before, after = (
        simulate_bundle(bundle, pictures, modes=MODES, max_slices=1) for bundle in (former, calibrated_tiny)
    )
    threshold = calibrated_tiny.manifest.thresholds.int8
    for simulation in before:
        assert simulation.overflow > 0
        assert simulation.largest > 65504
        failures = list(simulation.failures(threshold))
        assert f"{simulation.overflow} of {simulation.sums} INT8 sums exceed 65504" in failures[0]
    for simulation in after:
        assert simulation.overflow == 0
        assert simulation.sums > 100_000
        assert 0 < simulation.largest < 1000
        assert simulation.agreement.lowest_cosine > 0.999
        assert list(simulation.failures(threshold)) == []


def test_uhd_tiny_in_fp8_reaches_its_threshold_without_a_sum_that_overflows(fp8_tiny: Bundle) -> None:
    pictures = {"bench.png": Image.open(EXAMPLES / "bench.png").convert("RGB")}
    for simulation in simulate_bundle(fp8_tiny, pictures, kind="fp8", modes=MODES, max_slices=1):
        assert simulation.numbers == "FP8"
        assert simulation.overflow == 0
        assert simulation.sums > 100_000
        assert 0 < simulation.largest < 1000
        assert simulation.agreement.lowest_cosine > 0.998
        assert list(simulation.failures(fp8_tiny.manifest.thresholds.fp8)) == []


def test_the_calibration_reports_what_engines_will_compute(calibrated: Calibrated) -> None:
    flavours = calibrated.report.flavours
    assert flavours["int8"].simulations == ()
    content = json.loads(calibrated.report.to_json())["flavours"]["int8-tensorrt"]["simulations"]
    assert [one["mode"] for one in content] == ["16x", "4x"]
    for one in content:
        assert one["views"] == 2
        assert one["overflow"] == 0
        assert one["agreement"]["lowest_cosine"] > 0.99
        assert "/" not in one["agreement"]["worst_view"]
        assert sum(linear["sums"] for linear in one["linears"]) == one["sums"] > 0


def test_uhd_verify_simulates_the_precision_that_it_compares(
    fp8_tiny: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--simulate", "--no-answers", "--mode", "16x", "--max-slices", "1", "--precision", "fp8", "--json"]
    assert exit_code(["verify", str(fp8_tiny.path), str(EXAMPLES / "bench.png"), *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["kind"] for one in found["simulations"]] == ["fp8"]
    # ONNX Runtime computes the same graph on this CPU.
    (view,) = found["views"]
    assert view["cosine"] == pytest.approx(found["simulations"][0]["agreement"]["lowest_cosine"], abs=5e-4)


def test_uhd_verify_simulates_and_fails_for_a_bundle_that_overflows(
    calibrated_tiny: Bundle, former: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(EXAMPLES / "bench.png")
    options = ["--simulate", "--no-answers", "--mode", "16x", "--max-slices", "1", "--precision", "fp16"]
    assert exit_code(["verify", str(calibrated_tiny.path), picture, *options]) == 0
    printed = capsys.readouterr()
    assert "of 65504" in printed.out
    assert "vision_tower.encoder.layers.0.mlp.fc1" in printed.out
    assert "simulating INT8 on TensorRT" in printed.err
    assert exit_code(["verify", str(former.path), picture, *options, "--json"]) == 1
    (simulation,) = json.loads(capsys.readouterr().out)["simulations"]
    assert simulation["overflow"] > 0
