"""What the command line says of the engine beside the answer."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from support.vision.built_engines import PICTURE, build

from uhd_edge.cli.main import exit_code
from uhd_edge.runtime.bundles.bundle import Bundle


def test_the_command_line_prints_the_notes_beside_the_answer(
    qwen3_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Bundle.open(shutil.copytree(qwen3_bundle.path, tmp_path / "copy"))
    build(copy)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    PICTURE.save(tmp_path / "picture.png")
    ask = ["ask", str(tmp_path / "picture.png"), "What?", "--bundle", str(copy.path), "--max-tokens", "2", "--json"]
    assert exit_code([*ask, "--threads", "1"]) == 0
    printed = capsys.readouterr()
    assert "answer" in json.loads(printed.out)
    assert "uhd: TensorRT-RTX is not installed" in printed.err
    assert "uhd: 16x runs in fp32 on CPUExecutionProvider instead" in printed.err
