"""What `make test-gpu` does before its first engine runs: it builds each once, or says in its table why not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.hardware import builds as module
from support.hardware.builds import Builds, Flavour
from support.places import ROOT

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.building.engine_record import find_engines
from uhd_edge.engines.tensorrt.gpu import Gpu
from uhd_edge.runtime.bundles.bundle import Bundle

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for x86-64 alone")
pytest.importorskip("onnx_ir", reason="padding attention heads needs onnx-ir")

PLUGINS = ("-p", "support.pretended_gpu.suite", "-p", "no:cacheprovider")
PADDED = Flavour("fp16", "padded")
GPU = Gpu("pretended", "8.9")


def run_suite(chosen: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run tests of tests/hardware as `make test-gpu` does, on a pretended GPU."""
    path = os.pathsep.join([str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGINS, "tests/hardware", "-v", "-rs", "-k", chosen],
        env={**os.environ, "PYTHONPATH": path, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def rows_of(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """Engine, precision, mode and the next cell of each row of the table."""
    return [line.split(" | ")[:4] for line in done.stdout.splitlines() if line.startswith("| tensorrt-rtx")]


def with_a_damaged_graph(folder: Path) -> Bundle:
    copy = Bundle.open(shutil.copytree(Bundle.open().path, folder))
    encoder, _ = copy.graphs("16x", "fp16")
    encoder.write_bytes(b"\xff" * encoder.stat().st_size)
    return copy


def test_heads_that_need_no_padding_are_skipped_with_the_reason_that_the_command_gives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run_suite("rtx and padded")
    assert done.returncode == 0, done.stdout
    skipped = sorted(re.findall(r"::(\w+)\[[\w-]+\] SKIPPED", done.stdout))
    assert skipped == ["test_engines_reach_the_thresholds_of_the_bundle", *["test_row_of_a_gpu"] * 2]
    rows = rows_of(done)
    assert [row[:3] for row in rows] == [["| tensorrt-rtx", "fp16-padded", mode] for mode in ("16x", "4x")]
    copy = shutil.copytree(Bundle.open().path, tmp_path / "bundle")
    command = ["build", str(copy), "--target", "rtx-40", "--attention", "padded"]
    assert exit_code(command) == 1
    _, _, reason = capsys.readouterr().err.splitlines()[-1].partition(".onnx: ")
    assert "need no padding" in reason
    for *_, said in rows:
        assert said.startswith("not run: ")
        assert said.partition(".onnx: ")[2] == reason


def test_an_engine_that_cannot_be_built_is_a_row_that_says_so(tmp_path: Path) -> None:
    bundle = with_a_damaged_graph(tmp_path / "bundle")
    done = run_suite("rtx and fp16 and not padded and row", UHD_BUNDLE=str(bundle.path))
    assert done.returncode == 1
    rows = rows_of(done)
    assert [row[:3] for row in rows] == [["| tensorrt-rtx", "fp16", mode] for mode in ("16x", "4x")]
    for *_, said in rows:
        assert said.startswith("not run: failed, could not be built: uhd: ")
        assert "encoder-fp16.onnx: is not an ONNX graph" in said


def test_a_failed_build_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def noting(arguments: list[str]) -> int:
        commands.append(arguments)
        return exit_code(arguments)

    monkeypatch.setattr(module, "exit_code", noting)
    builds = Builds(with_a_damaged_graph(tmp_path / "bundle"), GPU, tmp_path)
    reasons: set[str] = set()
    for _ in range(3):
        with pytest.raises(pytest.fail.Exception, match="could not be built") as caught:
            builds.get("tensorrt-rtx", Flavour("fp16"))
        reasons.add(str(caught.value))
    assert len(commands) == len(reasons) == 1


def test_why_nothing_is_padded_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builds = Builds(Bundle.open(), GPU, tmp_path)
    with pytest.raises(pytest.skip.Exception, match="need no padding"):
        builds.get("tensorrt-rtx", PADDED)
    monkeypatch.setattr(Builds, "_not_padded", lambda _: pytest.fail("asked again"))
    with pytest.raises(pytest.skip.Exception, match="need no padding"):
        builds.get("tensorrt-rtx", PADDED)


@pytest.mark.parametrize("flavour", [Flavour("fp16"), PADDED], ids=str)
def test_what_can_be_built_is_built_once_as_its_flavour_says(
    qwen3_bundle: Bundle, tmp_path: Path, flavour: Any
) -> None:
    """The heads of this bundle have 8 numbers, which are padded to 16."""
    builds = Builds(qwen3_bundle, GPU, tmp_path)
    built = builds.get("tensorrt-rtx", flavour)
    assert {record.attention for record in find_engines(built.bundle.path)} == {"plain", flavour.attention}
    assert builds.get("tensorrt-rtx", flavour) is built
