"""Options that several commands share."""

from __future__ import annotations

import io
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


def test_an_image_from_standard_input_has_a_mode_of_its_own_behind_two_dashes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exit_code(["ask", "-@4x", "What?"]) == 2
    assert "an image from standard input has a mode of its own behind --: uhd ask -- -@4x" in capsys.readouterr().err
    picture = (EXAMPLES / "bench.png").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(picture)))
    assert exit_code(["ask", "--max-tokens", "1", "--max-slices", "1", "--json", "--", "-@4x", "What?"]) == 0
    view = json.loads(capsys.readouterr().out)["views"][0]
    assert view["rows"] * view["columns"] == 4 * view["tokens"]


@pytest.mark.parametrize("end", ["@9x", "@4X", "@4"])
def test_an_unknown_mode_behind_a_file_is_answered_with_the_modes(end: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = f"{EXAMPLES / 'bench.png'}{end}"
    for command in (["ask", file, "What?"], ["plan", file], ["chat", file]):
        assert exit_code(command) == 1
        said = f"{file}: no such file; check the path; an image has a mode of its own as FILE@16x or FILE@4x in"
        assert capsys.readouterr().err.startswith(f"uhd: {said}")
