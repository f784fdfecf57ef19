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
from uhd_edge.engines.tensorrt.gpu import Gpu
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
        ("BOARD", b"NVIDIA Jetson Orin Nano Developer Kit\0", "NVIDIA Jetson Orin Nano Developer Kit"),
        (
            "JETPACK",
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
    for place in ("BOARD", "JETPACK"):
        monkeypatch.setattr(doctor, place, tmp_path / place)
    (tmp_path / file).write_bytes(content)
    monkeypatch.setattr(doctor, "version_of", lambda _name: None)
    monkeypatch.setattr(doctor, "first_gpu", lambda: Gpu("Orin", "8.7"))
    monkeypatch.setattr(doctor, "find_gpus", lambda _api: LlamaGpus(found=(), built_for=()))
    cli.exit_code(["doctor", "--json"])
    findings = {finding["part"]: finding["detail"] for finding in json.loads(capsys.readouterr().out)}
    assert findings["gpu"] == name
    assert "uhd-edge[gpu]" not in findings["extra gpu"]
    assert "apt install tensorrt python3-libnvinfer python3-dev" in findings["extra gpu"]
    assert "a Jetson has TensorRT" in findings["extra rtx"]
    assert "the language model does not run on Orin" in findings["--gpu-layers"]
    assert "-DGGML_CUDA=on" in findings["--gpu-layers"]


def test_looking_at_the_machine_reports_nothing_to_anybody(tmp_path: Path) -> None:
    unset = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    command = [sys.executable, "-m", "uhd_edge.cli", "doctor"]
    environment = {**unset, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run(command, env=environment, capture_output=True, check=False)
    assert not (tmp_path / "cache").exists()
