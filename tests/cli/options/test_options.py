"""Options that several commands share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest
from support.places import EXAMPLES

from uhd_edge.cli.images import split_mode
from uhd_edge.cli.main import exit_code
from uhd_edge.cli.options import parse_gpu_layers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("text", "layers"), [("0", 0), ("12", 12), ("all", -1), ("auto", "auto")])
def test_gpu_layers_are_a_number_or_all_or_auto(text: str, layers: int | str) -> None:
    assert parse_gpu_layers(text) == layers


@pytest.mark.parametrize("text", ["some", "1.5", "-3"])
def test_other_gpu_layers_are_wrong_usage(text: str) -> None:
    with pytest.raises(click.UsageError):
        parse_gpu_layers(text)


def test_a_mode_is_split_from_a_name_unless_a_file_has_that_name(tmp_path: Path) -> None:
    (tmp_path / "odd@4x").touch()
    assert split_mode(str(tmp_path / "odd@4x")) == (str(tmp_path / "odd@4x"), None)
    assert split_mode("a.png@4x") == ("a.png", "4x")
    for plain in ("a.png", "a@2x.png", "a.png@8x", "@4x", "-", ""):
        assert split_mode(plain) == (plain, None)


def test_images_of_both_modes_are_asked_about_together(capsys: pytest.CaptureFixture[str]) -> None:
    files = [f"{EXAMPLES / 'bench.png'}@16x", f"{EXAMPLES / 'wide.png'}@4x"]
    assert exit_code(["ask", *files, "What?", "--max-slices", "1", "--max-tokens", "1", "--json"]) == 0
    one, other = json.loads(capsys.readouterr().out)["views"]
    assert other["rows"] * other["columns"] == 4 * other["tokens"]
    assert one["rows"] * one["columns"] == 16 * one["tokens"]
