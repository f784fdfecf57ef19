"""OpenVINO's provider, really run: what it computes, when it is chosen, and what is said without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from uhd_edge.calibration.calibrate import Calibrated
from uhd_edge.engines.errors import EngineError, EngineUnavailableError, MissingExtraError
from uhd_edge.engines.onnxruntime import CPU, OnnxRuntimeEngine
from uhd_edge.engines.openvino import OPENVINO, OpenVinoEngine
from uhd_edge.engines.selection import PLUGIN
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.checking.verify import verify_bundle
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.engine_choice import choices

pytest.importorskip(PLUGIN, reason="there are wheels of OpenVINO's provider for x86-64 alone")

PICTURE = Image.radial_gradient("L").resize((300, 200)).convert("RGB")


def views(batch: int, patches: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(batch * patches)
    return {
        "patches": random.uniform(-1, 1, (batch, patches, 588)).astype(np.float32),
        "position_ids": random.integers(0, 1024, (batch, patches)),
    }


def test_it_computes_what_onnx_runtime_computes_whatever_the_shape() -> None:
    graph, _ = Bundle.open().graphs("16x", "fp32")
    with OpenVinoEngine(graph, threads=1) as tested, OnnxRuntimeEngine(graph, threads=1) as exact:
        assert tested.provider == OPENVINO
        for batch, patches in ((1, 64), (3, 32), (1, 64), (2, 144)):
            given = views(batch, patches)
            expected = exact.run(given)["features"]
            np.testing.assert_allclose(tested.run(given)["features"], expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_it_passes_verification_in_both_modes(precision: str) -> None:
    report = verify_bundle(Bundle.open(), engine="openvino", precision=precision, question=None, threads=1)  # type: ignore[arg-type]
    assert report.passed, report.failures
    assert {one.provider for one in report.verified} == {OPENVINO}


def test_auto_takes_it_for_int8_and_leaves_fp32_where_it_was(calibrated: Calibrated) -> None:
    with VisionEncoder(calibrated.bundle, precision="int8", threads=1) as encoder:
        encoder.encode(PICTURE)
        towers = encoder.towers("16x")
        assert (towers.encoder.provider, towers.connector.provider, towers.precision) == (OPENVINO, OPENVINO, "int8")
        assert encoder.notes == []
    with VisionEncoder(calibrated.bundle, threads=1) as encoder:
        assert encoder.towers("16x").encoder.provider == CPU


@pytest.mark.parametrize("kind", ["int8", "int8-tensorrt"])
def test_it_runs_either_kind_of_int8_graph_whole(calibrated: Calibrated, kind: str) -> None:
    """ONNX Runtime's own operators too; it refuses what it would have to share with another provider."""
    graph, _ = calibrated.bundle.graphs("16x", kind)  # type: ignore[arg-type]
    with VisionEncoder(calibrated.bundle, engine="onnxruntime", precision="int8", threads=1) as encoder:
        expected = encoder.towers("16x").encoder
        given = views(1, 64)
        exact = expected.run(given)["features"].ravel()
    with OpenVinoEngine(graph, threads=1, arithmetic="half") as tested:
        found = tested.run(given)["features"].ravel()
    assert found @ exact / np.linalg.norm(found) / np.linalg.norm(exact) > 0.999


def test_int8_takes_the_encoder_that_is_faster_and_the_connector_that_is_smaller(calibrated: Calibrated) -> None:
    (choice,) = choices(calibrated.bundle, "16x", engine="openvino", precision="int8", built=())
    encoder, connector = choice.graphs(calibrated.bundle, "16x")
    assert (encoder.name, connector.name) == ("encoder-16x-int8-tensorrt.onnx", "connector-int8.onnx")


def test_by_itself_it_takes_half_precision_of_the_fp32_graph_which_needs_least_memory(calibrated: Calibrated) -> None:
    bundle = calibrated.bundle
    for there, chosen in (
        (("fp32", "fp16", "int8"), ("fp16", "fp32")),
        (("fp16", "int8"), ("fp16", "fp16")),
        (("int8",), ("int8", "int8")),
    ):
        graphs = {mode: {kind: by_kind[kind] for kind in there} for mode, by_kind in bundle.manifest.graphs.items()}  # type: ignore[index]
        fewer = Bundle(bundle.path, bundle.manifest.model_copy(update={"graphs": graphs}))
        (choice,) = choices(fewer, "16x", engine="openvino", precision="auto", built=())
        assert (choice.precision, choice.kind) == chosen


def save_unknown(folder: Path) -> Path:
    """A graph with an operator that ONNX Runtime has and OpenVINO has not."""
    matrix = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 3])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [])
    graph = helper.make_graph([helper.make_node("Det", ["x"], ["y"])], "unknown", [matrix], [result])
    file = folder / "unknown.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)
    return file


def test_a_graph_that_it_cannot_compute_whole_is_left_to_onnx_runtime(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match=f"unknown.onnx: {OPENVINO} cannot open it"):
        OpenVinoEngine(save_unknown(tmp_path))


def test_a_missing_or_damaged_graph_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"none\.onnx: no such graph"):
        OpenVinoEngine(tmp_path / "none.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"broken\.onnx: is not an ONNX graph"):
        OpenVinoEngine(tmp_path / "broken.onnx")


def test_it_uses_as_many_cores_as_it_is_given_and_pins_none() -> None:
    graph, _ = Bundle.open().graphs("16x", "fp32")
    with OpenVinoEngine(graph, threads=3) as engine:
        options = engine._session.get_provider_options()[OPENVINO]
    settings = json.loads(options["load_config"])["CPU"]
    assert settings == {
        "INFERENCE_NUM_THREADS": "3",
        "ENABLE_CPU_PINNING": "NO",
        "INFERENCE_PRECISION_HINT": "f32",
    }


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PLUGIN, None)


def test_without_the_package_the_line_that_installs_it_is_given(not_installed: None) -> None:
    with (
        VisionEncoder(engine="openvino", threads=1) as encoder,
        pytest.raises(MissingExtraError, match=r"pip install 'uhd-edge\[openvino\]'"),
    ):
        encoder.encode(PICTURE)


def test_without_the_package_auto_runs_int8_on_onnx_runtime_and_says_nothing(
    calibrated: Calibrated, not_installed: None
) -> None:
    with VisionEncoder(calibrated.bundle, precision="int8", threads=1) as encoder:
        assert encoder.towers("16x").encoder.provider == CPU
        assert encoder.notes == []


def test_nothing_is_printed_and_the_process_ends_well() -> None:
    program = """
from PIL import Image
from uhd_edge.runtime.vision.encoder import VisionEncoder
VisionEncoder(engine="openvino", precision="fp32", threads=1).encode(Image.new("RGB", (96, 96)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
