"""`uhd bench` measures and prints, and what cannot be measured is one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.bench.small_bench import SMALL

from uhd_edge.cli import main as cli


def test_the_command_measures_a_picture_and_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "picture.jpg"
    file.write_bytes(SMALL.data)
    options = ["--image", str(file), "--modes", "16x", "--rounds", "1", "--warm-up", "0", "--threads", "1"]
    assert cli.exit_code(["bench", *options, "--json", "--plot", str(tmp_path / "plot.png")]) == 0
    captured = capsys.readouterr()
    assert [one["mode"] for one in json.loads(captured.out)["measured"]] == ["16x"]
    assert "round 1 of 1" in captured.err
    assert (tmp_path / "plot.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sizes", "many"],
        ["--sizes", "448x448,"],
        ["--sizes", "0x1"],
        ["--sizes", ""],
        ["--sizes", "1x100000"],
        ["--modes", ""],
        ["--modes", "8x"],
        ["--precisions", "fp64"],
        ["--engines", "abacus"],
        ["--rounds", "0"],
        ["--image", "nowhere.png"],
        ["--synthetic", "gpt", "--sizes", "1x1"],
        ["--plot", "nowhere/plot.png"],
        ["nowhere", "--sizes", "1x1"],
        ["--precisions", "int8", "--sizes", "1x1"],
    ],
)
def test_what_cannot_be_measured_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["bench", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("uhd: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["a", "--synthetic", "b"], ["--image", "a", "--sizes", "1x1"]])
def test_what_excludes_each_other_is_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["bench", *arguments]) == 2
    assert "give only one of" in capsys.readouterr().err
