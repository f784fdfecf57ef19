"""`uhd inspect` names the engine that `uhd ask` then runs, also where one that was built cannot be used."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.vision.built_engines import Told, build

from uhd_edge.cli.commands.inspect import _chosen
from uhd_edge.cli.main import exit_code
from uhd_edge.engines import selection
from uhd_edge.engines.building.engine_record import find_engines
from uhd_edge.engines.errors import EngineUnavailableError, MissingExtraError
from uhd_edge.engines.tensorrt import cuda
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.checking.verify import verify_bundle
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.usable import require_usable
from uhd_edge.runtime.vision.verdicts.kept import keep_verdict, verdict_about


def raising(error: Exception) -> Any:
    def raise_it(*_: Any) -> Any:
        raise error

    return raise_it


def without_a_gpu(_bundle: Bundle, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(selection, "first_gpu", raising(EngineUnavailableError("no NVIDIA driver found")))


def without_tensorrt(_bundle: Bundle, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(selection, "import_tensorrt", raising(MissingExtraError("TensorRT-RTX is not installed")))


def without_pycuda(_bundle: Bundle, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cuda, "_import_driver", raising(MissingExtraError("TensorRT engines need pycuda")))
    patch.setattr(Told, "__new__", lambda _, __, *, backend: cuda.CudaDevice(backend))  # as the real engine begins


def with_another_gpu(_bundle: Bundle, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(selection, "first_gpu", lambda: SimpleNamespace(compute_capability="12.0"))


def with_another_version(_bundle: Bundle, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(selection, "import_tensorrt", lambda _: SimpleNamespace(__version__="1.8.0"))


def with_a_damaged_engine(bundle: Bundle, _patch: pytest.MonkeyPatch) -> None:
    find_engines(bundle.path)[0].path.write_bytes(b"ENGINE")


def with_a_failed_comparison(bundle: Bundle, _patch: pytest.MonkeyPatch) -> None:
    keep_verdict(bundle, verdict_about("16x", find_engines(bundle.path), passed=False))


REASONS = {
    without_a_gpu: "TensorRT-RTX engines run on an NVIDIA GPU, and none can be used here",
    without_tensorrt: "TensorRT-RTX is not installed",
    without_pycuda: "TensorRT engines need pycuda",
    with_another_gpu: "of compute capability 8.9, this one has 12.0",
    with_another_version: "was built by TensorRT-RTX 1.7.1, this is TensorRT-RTX 1.8.0",
    with_a_damaged_engine: "is damaged",
    with_a_failed_comparison: "differed too much from FP32 in 16x on this GPU",
}


def inspected_and_opened(bundle: Bundle) -> tuple[str, str]:
    """What runs 16x: as `uhd inspect` says, and as it is opened."""
    told = dict(_chosen(bundle))["auto, 16x"].partition(":")[0]
    with VisionEncoder(bundle, threads=1) as encoder:
        opened = encoder.open_mode("16x")
    names = {"CPUExecutionProvider": "onnxruntime", "pretended": "tensorrt-rtx"}
    return told, f"{opened.precision} on {names[opened.encoder.provider]}"


@pytest.mark.parametrize("harm", REASONS, ids=lambda harm: harm.__name__)
def test_inspect_names_what_runs_where_an_engine_cannot_be_used_and_says_why(
    bundle: Bundle,
    machine: type[Told],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    harm: Any,
) -> None:
    build(bundle)
    harm(bundle, monkeypatch)
    assert inspected_and_opened(bundle) == ("fp32 on onnxruntime", "fp32 on onnxruntime")
    assert REASONS[harm] in capsys.readouterr().err


def test_inspect_names_the_engine_where_it_can_be_used(
    bundle: Bundle, machine: type[Told], capsys: pytest.CaptureFixture[str]
) -> None:
    build(bundle)
    assert inspected_and_opened(bundle) == ("fp16 on tensorrt-rtx", "fp16 on tensorrt-rtx")
    assert capsys.readouterr().err == ""


def test_the_command_says_so_on_a_machine_that_really_has_no_gpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has an NVIDIA driver")
    bundle = Bundle.open(shutil.copytree(Bundle.open().path, tmp_path / "bundle"))
    build(bundle)
    find_engines(bundle.path)[0].path.with_suffix(".engine.json").write_text("{")
    build(bundle, target="rtx-50", capability="12.0")
    assert exit_code(["inspect", str(bundle.path)]) == 0
    printed = capsys.readouterr()
    engines = [line.split()[4].rstrip(":") for line in printed.out.splitlines() if line.startswith("auto, ")]
    assert len(engines) == 2
    assert set(engines) <= {"onnxruntime", "openvino"}
    assert printed.err.count("connector-fp16.engine.json") == 1
    assert "engines run on an NVIDIA GPU, and none can be used here" in printed.err


def test_what_cannot_be_verified_here_is_refused_before_fp32_is_computed(tmp_path: Path) -> None:
    """Of a real tower that would be minutes, to be told in the end that there is no GPU."""
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has an NVIDIA driver")
    bundle = Bundle.open(shutil.copytree(Bundle.open().path, tmp_path / "bundle"))
    build(bundle)
    told: list[str] = []
    with pytest.raises(EngineUnavailableError, match="engines run on an NVIDIA GPU, and none can be used here"):
        verify_bundle(bundle, engine="tensorrt-rtx", modes=["16x"], question=None, progress=told.append)
    assert told == []


def test_what_can_be_verified_is_not_refused(bundle: Bundle, machine: type[Told]) -> None:
    build(bundle)
    require_usable(bundle, "16x", "tensorrt-rtx", "auto")
    assert machine.opened == []
