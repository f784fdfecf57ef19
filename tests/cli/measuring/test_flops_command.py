"""`uhd flops`: tables, JSON, and what cannot be counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from support.vision.paper import TABLE_5, TABLE_A3

from uhd_edge.cli import main as cli
from uhd_edge.runtime.vision.flops_of_pictures import ENCODINGS

if TYPE_CHECKING:
    from pathlib import Path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.exit_code(["flops", *arguments]) == 0
    return capsys.readouterr().out


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    table = printed(capsys, "--model", "MiniCPM-V-4.6")
    rows = {line[:20].strip(): line.split() for line in table.splitlines()}
    assert "448 x 448" in table
    assert rows["encoder"] == ["encoder", "477.1", "973.7", "973.7", "973.7"]
    assert rows["encoder beside post-"][3:] == ["-51.0", "%"]


def test_the_command_prints_json_with_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--count", "paper", "--patches", "2448", "--insert-after", "3")
    answer = json.loads(printed(capsys, "--model", "minicpm-v-4.6", "--json", *options))
    assert list(answer["encodings"]) == list(ENCODINGS)
    ours = answer["encodings"]["16x"]
    parts = ("patch_embedding", "layers_before", "compressor", "layers_after", "connector")
    assert sum(ours["flops"][part] for part in parts) == ours["flops"]["total"]
    assert ours["flops"]["encoder"] / 1e9 == pytest.approx(TABLE_5[3], rel=0.001)
    assert (ours["views"], ours["tokens"]) == ([2448], 153)


def test_the_command_counts_another_way_of_encoding(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--model", "minicpm-v-4.6", "--count", "paper", "--patches", "2448", "--json", "--variant", "cross-mean")
    answer = json.loads(printed(capsys, *options))
    assert answer["model"] == "minicpm-v-4.6 as cross-mean"
    assert answer["encodings"]["16x"]["flops"]["encoder"] / 1e9 == pytest.approx(TABLE_A3["cross-mean"], rel=0.001)


def test_another_vision_tower_of_the_same_sizes_takes_as_much(capsys: pytest.CaptureFixture[str]) -> None:
    plain, moonvit, both = (
        json.loads(printed(capsys, "--model", "minicpm-v-4.6", "--json", *options))
        for options in ((), ("--backbone", "moonvit"), ("--backbone", "moonvit", "--variant", "cross-mean"))
    )
    assert moonvit["model"] == "minicpm-v-4.6 on moonvit"
    assert moonvit["encodings"] == plain["encodings"]
    assert both["model"] == "minicpm-v-4.6 on moonvit as cross-mean"
    assert both["encodings"]["16x"]["flops"]["encoder"] < plain["encodings"]["16x"]["flops"]["encoder"]


def test_the_command_counts_a_picture_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "picture.png"
    Image.fromarray(np.zeros((300, 500, 3), np.uint8)).save(file)
    assert json.loads(printed(capsys, "--image", str(file), "--json")) == json.loads(
        printed(capsys, "--size", "500x300", "--json")
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--size", "many"],
        ["--size", "1x4000000"],
        ["--size", "20000x1"],
        ["--patches", "7"],
        ["--insert-after", "6"],
        ["--variant", "larger"],
        ["--backbone", "clip"],
        ["--model", "gpt"],
        ["--image", "nowhere.png"],
        ["nowhere"],
    ],
)
def test_what_cannot_be_counted_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["flops", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("uhd: ")
    assert error.count("\n") == 1


def test_what_excludes_each_other_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["flops", "--size", "1x1", "--patches", "16"]) == 2
    assert "only one of --image, --size or --patches" in capsys.readouterr().err
