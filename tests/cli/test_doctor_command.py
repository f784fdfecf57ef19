"""`uhd doctor` names what is there, what is missing and how to get it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from uhd_edge.cli import main as cli
from uhd_edge.engines.errors import EngineUnavailableError
from uhd_edge.engines.tensorrt import cuda_toolkit
from uhd_edge.engines.tensorrt.gpu import Gpu
from uhd_edge.engines.tensorrt.jetson import JetsonFiles, find_jetson
from uhd_edge.runtime.checking import doctor
from uhd_edge.runtime.checking.doctor import EXTRAS
from uhd_edge.runtime.llm.llama_library import LlamaGpus


def test_doctor_names_what_asking_needs_and_how_to_get_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["doctor", "--json"]) == 0
    findings = {finding["part"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert findings["onnxruntime"]["state"] == "ok"
    assert "CPU" in findings["onnxruntime"]["detail"]
    assert findings["llama.cpp"]["state"] == "ok"
    assert re.match(r"auto puts (all|no) layers on a GPU: .*llama", findings["--gpu-layers"]["detail"])
    int8 = findings["INT8 on the CPU"]["detail"]
    assert re.match(r"auto takes (onnxruntime|openvino): .*\b(VNNI|extra|pip install|compared)", int8)
    installed = {distribution.name.lower().replace("_", "-") for distribution in metadata.distributions()}
    for extra, distributions in EXTRAS.items():
        missing = [name for name in distributions if name not in installed]
        finding = findings[f"extra {extra}"]
        assert finding["state"] == ("absent" if missing else "ok")
        assert all(name in finding["detail"] for name in missing or distributions)
        assert (f'pip install "uhd-edge[{extra}]"' in finding["detail"]) == bool(missing)


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("board", b"NVIDIA Jetson Orin Nano Developer Kit\0", "NVIDIA Jetson Orin Nano Developer Kit"),
        (
            "release",
            b"# R36 (release), REVISION: 4.3, GCID: 1\n",
            "NVIDIA Jetson, R36 (release), REVISION: 4.3, GCID: 1",
        ),
    ],
)
def test_on_a_jetson_doctor_advises_no_package_of_pypi_for_its_gpu(
    file: str,
    content: bytes,
    name: str,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / file).write_bytes(content)
    files = JetsonFiles(tmp_path / "board", tmp_path / "release")
    monkeypatch.setattr(doctor, "find_jetson", lambda: find_jetson(files))
    monkeypatch.setattr(doctor, "version_of", lambda _name: None)
    for module in (doctor, cuda_toolkit):
        monkeypatch.setattr(module, "first_gpu", lambda: Gpu("Orin", "8.7"))
    monkeypatch.setattr(doctor, "find_gpus", lambda _api: LlamaGpus(found=(), built_for=()))
    cli.exit_code(["doctor", "--json"])
    findings = {finding["part"]: finding["detail"] for finding in json.loads(capsys.readouterr().out)}
    assert findings["gpu"] == name
    assert "uhd-edge[gpu]" not in findings["extra gpu"]
    assert "apt install tensorrt python3-libnvinfer python3-dev" in findings["extra gpu"]
    assert "with JetPack 6 nvidia-l4t-dla-compiler too" in findings["extra gpu"]
    assert "a Jetson has TensorRT" in findings["extra rtx"]
    assert "the language model does not run on Orin" in findings["--gpu-layers"]
    assert "-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=87" in findings["--gpu-layers"]


def test_a_jetson_with_jetpacks_own_packages_lacks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """NVIDIA's index has an onnxruntime-gpu for it, and nothing here needs that."""
    (tmp_path / "release").write_text("# R36 (release), REVISION: 4.3\n")
    files = JetsonFiles(tmp_path / "board", tmp_path / "release")
    monkeypatch.setattr(doctor, "find_jetson", lambda: find_jetson(files))
    monkeypatch.setattr(doctor, "version_of", {"tensorrt": "10.3.0", "pycuda": "2026.1"}.get)
    cli.exit_code(["doctor", "--json"])
    findings = {finding["part"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert (findings["extra gpu"]["state"], findings["extra gpu"]["detail"]) == (
        "ok", "pycuda 2026.1, tensorrt 10.3.0",
    )  # fmt: skip


@pytest.mark.parametrize("board", ["Jetson Orin", None])
def test_beside_onnxruntime_an_onnxruntime_gpu_is_installed_again_but_on_a_jetson(
    board: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both are there; on a Jetson the one for the GPU is NVIDIA's, and PyPI's would take its place."""
    monkeypatch.setattr(doctor, "find_jetson", lambda: board)
    monkeypatch.setattr(doctor, "version_of", {"onnxruntime": "1.23.2", "onnxruntime-gpu": "1.23.0"}.get)
    cli.exit_code(["doctor", "--json"])
    findings = {finding["part"]: finding["detail"] for finding in json.loads(capsys.readouterr().out)}
    advised = re.findall(r"pip [^;,]*", findings["onnxruntime"])
    assert advised == (
        ["pip uninstall onnxruntime-gpu", "pip install --no-deps --force-reinstall onnxruntime"]
        if board
        else ["pip uninstall onnxruntime", "pip install --force-reinstall onnxruntime-gpu"]
    )


def test_a_tensorrt_that_does_not_load_is_broken_and_the_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As JetPack 6's does where its package of the DLA's compiler is not installed."""
    (tmp_path / "tensorrt.py").write_text(
        'raise ImportError("libnvdla_compiler.so: cannot open shared object file: No such file or directory")\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    cli.exit_code(["doctor"])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if re.match(r"..  TensorRT ", line))
    assert line.startswith("!!")
    assert "apt install nvidia-l4t-dla-compiler" in line


def test_looking_at_the_machine_reports_nothing_to_anybody(tmp_path: Path) -> None:
    unset = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    command = [sys.executable, "-m", "uhd_edge.cli", "doctor"]
    environment = {**unset, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run(command, env=environment, capture_output=True, check=False)
    assert not (tmp_path / "cache").exists()


VERSION = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (builder@host)  \n"
    "GCC version:  gcc version 13.3.0 (GCC) \n"
)


@pytest.mark.parametrize(
    ("machine", "told"),
    [
        ((VERSION, True), "NVIDIA H100, compute capability 9.0, driver 580.159.04"),
        ((None, True), "NVIDIA H100, compute capability 9.0"),
        ((VERSION, False), "the kernel has NVIDIA's driver 580.159.04, but no GPU can be used; vision runs on the CPU"),
        (
            ("?", False),
            "the kernel has NVIDIA's driver of an unknown version, but no GPU can be used; vision runs on the CPU",
        ),
        ((None, False), "no NVIDIA driver; vision runs on the CPU"),
    ],
)
def test_a_gpu_is_named_with_its_driver(
    machine: tuple[str | None, bool],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As the kernel of a real machine writes it; under WSL there is a GPU, and no such file."""
    version, found = machine

    def first_gpu() -> Gpu:
        if found:
            return Gpu("NVIDIA H100", "9.0")
        raise EngineUnavailableError("no GPU can be used; check it with nvidia-smi")

    if version is not None:
        (tmp_path / "version").write_text(version)
    monkeypatch.setattr(doctor, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(doctor, "find_jetson", lambda: None)
    monkeypatch.setattr(doctor, "first_gpu", first_gpu)
    cli.exit_code(["doctor", "--json"])
    findings = {finding["part"]: finding["detail"] for finding in json.loads(capsys.readouterr().out)}
    assert findings["gpu"] == told
