"""Fixtures shared by the tests."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.places import EXAMPLES, STAND_INS

if TYPE_CHECKING:
    from uhd_edge.calibration.calibrate import Calibrated
    from uhd_edge.runtime.bundles.bundle import Bundle

# ONNX Runtime reports to its makers unless told not to; some tests import it without us.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

with contextlib.suppress(ImportError):  # the tests that need a GPU run without it
    from hypothesis import HealthCheck, settings

    # A busy machine must not fail a test.
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")


@pytest.fixture(scope="session")
def qwen3_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny checkpoint whose text model is a plain transformer; do not write into it."""
    from support.checkpoints import TinyCheckpoint, save_checkpoint

    return save_checkpoint(tmp_path_factory.mktemp("checkpoints") / "qwen3", TinyCheckpoint("qwen3"))


@pytest.fixture(scope="session")
def hybrid_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny checkpoint whose text model is Qwen3.5's hybrid; do not write into it."""
    from support.checkpoints import TinyCheckpoint, save_checkpoint

    return save_checkpoint(tmp_path_factory.mktemp("checkpoints") / "qwen3_5", TinyCheckpoint("qwen3_5_text"))


@pytest.fixture(scope="session")
def qwen3_bundle(qwen3_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """`qwen3_checkpoint` exported with both modes, both precisions and an FP32 language model."""
    from uhd_edge.export.export import export_bundle

    return export_bundle(qwen3_checkpoint, tmp_path_factory.mktemp("bundles") / "qwen3", llm_type="f32")


@pytest.fixture(scope="session")
def hybrid_bundle(hybrid_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """`hybrid_checkpoint` exported with both modes, both precisions and an FP32 language model."""
    from uhd_edge.export.export import export_bundle

    return export_bundle(hybrid_checkpoint, tmp_path_factory.mktemp("bundles") / "qwen3_5", llm_type="f32")


@pytest.fixture(scope="session")
def canvas_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny MiniCPM-V 4.7, with a hybrid text model; do not write into it."""
    from support.checkpoints import TinyCheckpoint, save_checkpoint

    tiny = TinyCheckpoint("qwen3_5_text", version="4_7", seed=13)
    return save_checkpoint(tmp_path_factory.mktemp("checkpoints") / "canvas", tiny)


@pytest.fixture(scope="session")
def canvas_bundle(canvas_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """`canvas_checkpoint` exported with both modes, in FP32."""
    from uhd_edge.export.export import export_bundle

    target = tmp_path_factory.mktemp("bundles") / "canvas"
    return export_bundle(canvas_checkpoint, target, llm_type="f32", precisions=["fp32"])


@pytest.fixture(scope="session")
def llava_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny LLaVA-UHD v4 as its own code stores it; do not write into it."""
    from support.llava.stored import save_llava

    return save_llava(tmp_path_factory.mktemp("checkpoints") / "llava")


@pytest.fixture(scope="session")
def llava_baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without a compressor: the baseline, whose connector merges twice; do not write into it."""
    from support.llava.stored import save_llava

    return save_llava(tmp_path_factory.mktemp("checkpoints") / "baseline", compressed=False)


@pytest.fixture(scope="session")
def llava_bundle(llava_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """`llava_checkpoint` exported with both modes, in FP32."""
    from uhd_edge.export.export import export_bundle

    target = tmp_path_factory.mktemp("bundles") / "llava"
    return export_bundle(llava_checkpoint, target, llm_type="f32", precisions=["fp32"])


@pytest.fixture(scope="session")
def baseline_bundle(llava_baseline: Path, llava_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """`llava_baseline` exported in FP32, with the language model of `llava_bundle`, which is its own too."""
    from uhd_edge.export.export import export_bundle

    target = tmp_path_factory.mktemp("bundles") / "baseline"
    return export_bundle(llava_baseline, target, llm=llava_bundle.llm_path, precisions=["fp32"])


@pytest.fixture(scope="session")
def calibration_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six pictures, 0.png to 5.png."""
    from support.int8 import draw_pictures

    folder = tmp_path_factory.mktemp("pictures")
    draw_pictures(folder, 6, seed=1)
    return folder


@pytest.fixture(scope="session")
def calibrated(
    qwen3_bundle: Bundle, calibration_pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Calibrated:
    """A copy of `qwen3_bundle` with INT8 graphs, and their report; do not write into it."""
    from support.int8 import copy_of

    from uhd_edge.calibration.calibrate import calibrate_bundle

    bundle = copy_of(qwen3_bundle, tmp_path_factory.mktemp("bundles") / "int8")
    return calibrate_bundle(bundle, [calibration_pictures], threads=1)


@pytest.fixture(scope="session")
def calibrated_tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A copy of the built-in bundle with INT8 graphs, calibrated on two pictures of its world; do not write into it."""
    from support.int8 import copy_of

    from uhd_edge.calibration.calibrate import calibrate_bundle
    from uhd_edge.runtime.bundles.bundle import Bundle

    bundle = copy_of(Bundle.open(), tmp_path_factory.mktemp("bundles") / "tiny")
    return calibrate_bundle(bundle, [EXAMPLES / "bench.png", EXAMPLES / "sliced.jpg"], max_slices=4).bundle


@pytest.fixture(scope="session")
def fp8_tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A copy of the built-in bundle with FP8 and NVFP4 graphs, calibrated on one picture; do not write into it."""
    from support.int8 import copy_of

    from uhd_edge.calibration.calibrate import calibrate_bundle
    from uhd_edge.runtime.bundles.bundle import Bundle

    bundle = copy_of(Bundle.open(), tmp_path_factory.mktemp("bundles") / "fp8")
    return calibrate_bundle(bundle, [EXAMPLES / "bench.png"], precisions=["fp8", "nvfp4"], max_slices=1).bundle


@pytest.fixture
def trtexec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH with nothing but the stand-in of TensorRT 10.3's trtexec, and no Python package of TensorRT."""
    stand_in = STAND_INS / "trtexec.py"
    program = tmp_path / "programs" / "trtexec"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    return program
