"""The precision that `auto` takes: INT8 on a CPU where it is verified and faster, and what is said of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from support.int8 import MODES, WITH_VNNI, WITHOUT_VNNI, copy_of

from uhd_edge.calibration.calibrate import Calibrated
from uhd_edge.cli.main import exit_code
from uhd_edge.engines import selection
from uhd_edge.engines.errors import EngineError, EngineUnavailableError
from uhd_edge.engines.names import EngineName
from uhd_edge.engines.onnxruntime import CPU, CUDA
from uhd_edge.engines.processor import Processor
from uhd_edge.engines.tensorrt.gpu import Gpu
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.vision import engine_choice
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.engine_choice import choices

PICTURE = Image.radial_gradient("L").resize((120, 90)).convert("RGB")
WITH_DOT_PRODUCTS = Processor("aarch64", frozenset({"asimd", "asimddp"}))


def taken(bundle: Bundle, processor: Processor, engine: str = "auto") -> list[tuple[str, str]]:
    """Engine and precision in the order in which they are tried."""
    found = choices(bundle, "16x", engine=engine, precision="auto", built=(), processor=processor)  # type: ignore[arg-type]
    return [(choice.engine, choice.precision) for choice in found]


@pytest.fixture(autouse=True)
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_choice, "openvino_is_installed", lambda: False)


@pytest.mark.parametrize("processor", [WITH_VNNI, WITHOUT_VNNI, WITH_DOT_PRODUCTS])
@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_verified_int8_is_taken_before_fp32_where_a_processor_gains_by_it(
    calibrated: Calibrated, processor: Processor, engine: str
) -> None:
    assert taken(calibrated.bundle, processor, engine) == [("onnxruntime", "int8"), ("onnxruntime", "fp32")]


def test_openvino_comes_first_where_it_is_faster_and_its_own_graph_is_verified(
    calibrated: Calibrated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "openvino_is_installed", lambda: True)
    on_onnxruntime = [("onnxruntime", "int8"), ("onnxruntime", "fp32")]
    assert taken(calibrated.bundle, WITH_VNNI) == [("openvino", "int8"), *on_onnxruntime]
    assert taken(calibrated.bundle, WITHOUT_VNNI) == on_onnxruntime
    bundle = copy_of(calibrated.bundle, tmp_path / "copy")
    report = bundle.path / str(bundle.manifest.calibration)
    content = json.loads(report.read_text())
    content["flavours"]["int8-tensorrt"]["steps"][-1]["agreement"]["lowest_cosine"] = 0.9
    report.write_text(json.dumps(content))
    assert taken(bundle, WITH_VNNI) == on_onnxruntime


@pytest.mark.parametrize(
    ("processor", "reason"),
    [
        (Processor("x86_64", frozenset({"sse4_1", "avx"})), "no fast INT8 products"),
        (Processor("AMD64"), "this processor's instructions are not known"),
        (Processor("arm64"), "this processor's instructions are not known"),
        (Processor("aarch64", frozenset({"asimd"})), "no fast INT8 products"),
    ],
)
def test_fp32_stays_where_int8_is_not_known_to_be_faster(
    calibrated: Calibrated, processor: Processor, reason: str
) -> None:
    (choice,) = choices(calibrated.bundle, "16x", engine="auto", precision="auto", built=(), processor=processor)
    assert choice.precision == "fp32"
    assert reason in choice.reason


def test_a_gpu_of_onnx_runtime_runs_fp32_and_a_missing_one_changes_nothing(
    calibrated: Calibrated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> Gpu:
        raise EngineUnavailableError("no NVIDIA driver found")

    monkeypatch.setattr(selection, "offered_providers", lambda: (CUDA, CPU))
    monkeypatch.setattr(selection, "first_gpu", lambda: Gpu("RTX 4090", "8.9"))
    (choice,) = choices(calibrated.bundle, "16x", engine="auto", precision="auto", built=(), processor=WITH_VNNI)
    assert choice.precision == "fp32"
    assert "RTX 4090" in choice.reason
    monkeypatch.setattr(selection, "first_gpu", none)
    assert taken(calibrated.bundle, WITH_VNNI)[0] == ("onnxruntime", "int8")


def test_the_chosen_precision_is_told_with_the_reason_and_fp32_is_a_word_away(
    calibrated: Calibrated, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "this_processor", lambda: WITHOUT_VNNI)
    PICTURE.save(tmp_path / "picture.png")
    ask = ["ask", str(tmp_path / "picture.png"), "What?", "--bundle", str(calibrated.bundle.path)]
    ask += ["--max-tokens", "1", "--threads", "1"]
    assert exit_code(ask) == 0
    lowest = calibrated.report.flavours["int8"].steps[-1].agreement.lowest_cosine
    assert capsys.readouterr().err == (
        f"uhd: 16x runs in int8 on CPUExecutionProvider: its calibration saw a lowest cosine of {lowest:.5f} "
        "on the 1 picture held out; --precision fp32 computes exactly\n"
    )
    assert exit_code([*ask, "--precision", "fp32"]) == 0
    assert capsys.readouterr().err == ""
    assert exit_code(["inspect", str(calibrated.bundle.path)]) == 0
    printed = capsys.readouterr().out
    for mode in MODES:
        assert f"auto, {mode}" in printed
    assert f"int8 on onnxruntime: its calibration saw a lowest cosine of {lowest:.5f}" in printed


def test_programs_get_what_the_command_line_gets(calibrated: Calibrated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_choice, "this_processor", lambda: WITHOUT_VNNI)
    with Assistant(calibrated.bundle, threads=1) as assistant, VisionEncoder(calibrated.bundle, threads=1) as encoder:
        for mode in MODES:
            assert assistant.encoder.open_mode(mode).precision == encoder.open_mode(mode).precision == "int8"  # type: ignore[arg-type]
        assert [note.partition(" ")[0] for note in assistant.notes] == [*MODES]
        answer = assistant.ask(PICTURE, "What?", max_tokens=1)
        assert (answer.precision, answer.to_dict()["precision"]) == ("int8", "int8")
        assert assistant.ask(encoder.encode(PICTURE), "What?", max_tokens=1).precision == "int8"
        assert assistant.ask("What?", max_tokens=1).precision is None


def test_int8_that_cannot_be_opened_is_told_and_fp32_answers(
    calibrated: Calibrated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "this_processor", lambda: WITHOUT_VNNI)
    bundle = copy_of(calibrated.bundle, tmp_path / "copy")
    encoder_graph, _ = bundle.graphs("16x", "int8")
    encoder_graph.write_bytes(b"damaged")
    with VisionEncoder(bundle, threads=1) as encoder:
        assert encoder.open_mode("16x").precision == "fp32"
        damaged, instead = encoder.notes
        assert "encoder-int8.onnx: cannot be opened" in damaged
        assert instead == "16x runs in fp32 on CPUExecutionProvider instead"


@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_int8_that_fails_at_a_picture_is_told_and_fp32_answers(
    calibrated: Calibrated, engine: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(inputs: object) -> object:
        raise EngineError("encoder-int8.onnx: the run failed")

    monkeypatch.setattr(engine_choice, "this_processor", lambda: WITHOUT_VNNI)
    with VisionEncoder(calibrated.bundle, engine=engine, threads=1) as encoder:
        monkeypatch.setattr(encoder.open_mode("16x").encoder, "run", fail)
        encoder.encode(PICTURE)
        assert encoder.notes[1:] == [
            "encoder-int8.onnx: the run failed",
            "16x runs in fp32 on CPUExecutionProvider where that happens",
        ]


def test_int8_that_nothing_verified_is_not_taken_and_the_reason_is_told(calibrated: Calibrated, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(calibrated.bundle.path, tmp_path / "copy"))
    manifest = calibrated.bundle.manifest.model_copy(update={"calibration": None})
    with VisionEncoder(Bundle(folder, manifest), threads=1) as encoder:
        assert encoder.open_mode("16x").precision == "fp32"
        assert encoder.notes == ["16x runs in fp32 on CPUExecutionProvider: no calibration verified its INT8"]
    with VisionEncoder(Bundle(folder, manifest), precision="int8", threads=1) as encoder:
        assert encoder.open_mode("16x").precision == "int8"
        assert encoder.notes == []


def test_a_bundle_without_int8_is_told_to_be_calibrated_only_where_that_gains_something() -> None:
    for processor, advised in ((WITHOUT_VNNI, True), (Processor("aarch64", frozenset({"asimd"})), False)):
        (choice,) = choices(Bundle.open(), "16x", engine="auto", precision="auto", built=(), processor=processor)
        assert choice.reason.startswith("the bundle holds no INT8 graphs")
        assert ("uhd calibrate" in choice.reason) == advised
    with VisionEncoder(threads=1) as encoder:
        encoder.open_mode("16x")
        assert encoder.notes == [], "nobody asked about INT8"
