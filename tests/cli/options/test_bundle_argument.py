"""A bundle is named in one way in all commands: as the argument BUNDLE or as `--bundle`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from support.answering_bundle import bundle_of, save
from support.places import EXAMPLES

from uhd_edge.cli.bundle import bundle_before_images, one_bundle, required_bundle
from uhd_edge.cli.main import COMMANDS, exit_code

if TYPE_CHECKING:
    from pathlib import Path

PICTURE, QUESTIONS = str(EXAMPLES / "bench.png"), str(EXAMPLES / "questions.jsonl")
# What a command needs beside its bundle, and before it.
NEEDED = {
    "serve": ["--port", "0"],
    "calibrate": [],
    "build": ["--target", "here"],
    "verify": [],
    "bench": [],
    "eval": [QUESTIONS],
    "batch": [QUESTIONS, "--output", "never-written.jsonl"],
    "flops": [],
    "inspect": [],
}
# Their arguments are images, so the bundle is an option only.
ABOUT_IMAGES = {"ask": [PICTURE, "What?"], "chat": [], "plan": [PICTURE], "watch": [PICTURE, "What?"]}


def test_every_command_is_tested_here() -> None:
    assert {*NEEDED, *ABOUT_IMAGES, "pull", "list", "remove", "export", "doctor"} == {*COMMANDS}


@pytest.mark.parametrize("command", NEEDED)
def test_a_command_takes_its_bundle_either_way(command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none")
    for named in ([missing], ["--bundle", missing]):
        assert exit_code([command, *named, *NEEDED[command]]) == 1
        assert f"{missing}: no such bundle folder" in capfd.readouterr().err
    assert exit_code([command, "--bundle", missing, "other", *NEEDED[command]]) == (
        1 if command in ("verify", "calibrate") else 2
    )


@pytest.mark.parametrize("command", ABOUT_IMAGES)
def test_a_command_about_images_takes_its_bundle_as_an_option(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "none")
    assert exit_code([command, *ABOUT_IMAGES[command], "--bundle", missing]) == 1
    assert f"{missing}: no such bundle folder" in capfd.readouterr().err


def test_an_export_takes_its_bundle_either_way(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    taken = tmp_path / "taken"
    taken.write_text("not a bundle")
    for named in ([str(taken)], ["--bundle", str(taken)]):
        assert exit_code(["export", str(tmp_path), *named]) == 1
        assert str(taken) in capfd.readouterr().err
    assert exit_code(["export", str(tmp_path)]) == 2


@pytest.mark.parametrize("command", ["inspect", "flops"])
def test_both_ways_show_the_same(command: str, builtin_folder: str, capfd: pytest.CaptureFixture[str]) -> None:
    shown = []
    for named in ([builtin_folder], ["--bundle", builtin_folder]):
        assert exit_code([command, *named]) == 0
        shown.append(capfd.readouterr().out)
    assert shown[0] == shown[1]


@pytest.fixture
def builtin_folder() -> str:
    from uhd_edge import Bundle

    return str(Bundle.open().path)


def test_a_bundle_that_is_named_twice_is_refused() -> None:
    with pytest.raises(click.UsageError, match="given twice: a and --bundle b; give it once"):
        one_bundle("a", "b")


def test_no_bundle_is_none_or_refused() -> None:
    assert one_bundle(None, None) is None
    with pytest.raises(click.UsageError, match="Missing argument 'BUNDLE'"):
        required_bundle(None, None)
    with pytest.raises(click.UsageError, match="Missing argument 'BUNDLE'"):
        bundle_before_images((), None)


def test_the_bundle_stands_before_the_images_unless_it_is_an_option() -> None:
    assert bundle_before_images(("bundle", "a.png", "b.png"), None) == ("bundle", ("a.png", "b.png"))
    assert bundle_before_images(("a.png", "b.png"), "bundle") == ("bundle", ("a.png", "b.png"))


def test_a_bundle_with_an_encoder_for_each_mode_is_told_what_exporting_again_gains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = save(bundle_of(tmp_path / "bundle"))
    assert exit_code(["inspect", str(old.path)]) == 0
    assert "each mode has its own encoder (exported again, both would share one" in capsys.readouterr().out
    assert exit_code(["inspect"]) == 0
    assert "own encoder" not in capsys.readouterr().out
