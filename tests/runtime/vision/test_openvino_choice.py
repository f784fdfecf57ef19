"""When OpenVINO runs a bundle's graphs: which of them, on which processors, and what is said without it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from PIL import Image
from support.int8 import WITH_VNNI, WITHOUT_VNNI

from uhd_edge.calibration.calibrate import Calibrated
from uhd_edge.engines.errors import MissingExtraError
from uhd_edge.engines.onnxruntime import CPU
from uhd_edge.engines.openvino import OPENVINO
from uhd_edge.engines.processor import Processor
from uhd_edge.engines.selection import int8_engine
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.checking.verify import verify_bundle
from uhd_edge.runtime.vision import engine_choice
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.engine_choice import choices

pytest.importorskip("openvino")

PICTURE = Image.radial_gradient("L").resize((300, 200)).convert("RGB")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_it_passes_verification_in_both_modes(precision: str) -> None:
    report = verify_bundle(Bundle.open(), engine="openvino", precision=precision, question=None, threads=1)  # type: ignore[arg-type]
    assert report.passed, report.failures
    assert {one.provider for one in report.verified} == {OPENVINO}


def test_auto_takes_it_for_int8_where_there_is_vnni_and_leaves_fp32_where_it_was(
    calibrated: Calibrated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "this_processor", lambda: WITH_VNNI)
    with VisionEncoder(calibrated.bundle, precision="int8", threads=1) as encoder:
        encoder.encode(PICTURE)
        towers = encoder.open_mode("16x")
        assert (towers.encoder.provider, towers.connector.provider, towers.precision) == (OPENVINO, OPENVINO, "int8")
        assert encoder.notes == []
    with VisionEncoder(calibrated.bundle, precision="fp32", threads=1) as encoder:
        assert encoder.open_mode("16x").encoder.provider == CPU
    with VisionEncoder(calibrated.bundle, threads=1) as encoder:
        towers = encoder.open_mode("16x")
        assert (towers.encoder.provider, towers.precision) == (OPENVINO, "int8")


@pytest.mark.parametrize(
    "processor", [WITHOUT_VNNI, Processor("x86_64"), Processor("aarch64", frozenset({"asimd", "asimddp"}))]
)
def test_auto_leaves_int8_to_onnx_runtime_on_other_processors(
    calibrated: Calibrated, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "this_processor", lambda: processor)
    with VisionEncoder(calibrated.bundle, precision="int8", threads=1) as encoder:
        assert encoder.open_mode("16x").encoder.provider == CPU
        assert encoder.notes == []


def test_the_choice_of_an_engine_for_int8_says_its_reason() -> None:
    for processor, installed, engine, reason in (
        (WITH_VNNI, True, "openvino", "VNNI or AMX"),
        (WITH_VNNI, False, "onnxruntime", r"pip install 'uhd-edge\[openvino\]'"),
        (WITHOUT_VNNI, True, "onnxruntime", "without VNNI"),
        (Processor("aarch64"), True, "onnxruntime", "not compared on aarch64"),
    ):
        chosen = int8_engine(processor, openvino=installed)
        assert chosen.engine == engine
        assert re.search(reason, chosen.reason)


def test_int8_takes_the_encoder_that_is_faster_and_the_connector_that_is_smaller(calibrated: Calibrated) -> None:
    (choice,) = choices(calibrated.bundle, "16x", engine="openvino", precision="int8", built=())
    encoder, connector = choice.graphs(calibrated.bundle, "16x")
    assert (encoder.name, connector.name) == ("encoder-int8-tensorrt.onnx", "connector-int8.onnx")


def test_by_itself_it_takes_half_precision_of_the_fp32_graph_which_needs_least_memory(calibrated: Calibrated) -> None:
    bundle = calibrated.bundle
    for there, chosen in (
        (("fp32", "fp16", "int8"), ("fp16", "fp32")),
        (("fp16", "int8"), ("fp16", "fp16")),
        (("int8",), ("int8", "int8")),
    ):
        graphs = {mode: {kind: by_kind[kind] for kind in there} for mode, by_kind in bundle.manifest.graphs.items()}  # type: ignore[index]
        fewer = Bundle(bundle.path, bundle.manifest.model_copy(update={"graphs": graphs}))
        (choice,) = choices(fewer, "16x", engine="openvino", precision="auto", built=(), processor=WITHOUT_VNNI)
        assert (choice.precision, choice.kind) == chosen


def test_on_arm_it_computes_the_fp16_graph_whose_numbers_fp16_can_hold() -> None:
    arm = Processor("aarch64")
    (choice,) = choices(Bundle.open(), "16x", engine="openvino", precision="fp16", built=(), processor=arm)
    assert (choice.precision, choice.kind) == ("fp16", "fp16")


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(engine_choice, "this_processor", lambda: WITH_VNNI)


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
        assert encoder.open_mode("16x").encoder.provider == CPU
        assert encoder.notes == []


def test_nothing_is_printed_and_the_process_ends_well() -> None:
    program = """
from PIL import Image
from uhd_edge.runtime.vision.encoder import VisionEncoder
VisionEncoder(engine="openvino", precision="fp32", threads=1).encode(Image.new("RGB", (96, 96)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
