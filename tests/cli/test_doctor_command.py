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
from uhd_edge.runtime.checking.doctor import EXTRAS


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


def test_looking_at_the_machine_reports_nothing_to_anybody(tmp_path: Path) -> None:
    unset = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    command = [sys.executable, "-m", "uhd_edge.cli", "doctor"]
    environment = {**unset, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run(command, env=environment, capture_output=True, check=False)
    assert not (tmp_path / "cache").exists()
