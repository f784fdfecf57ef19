"""`uhd plan --memory`: settings that fit, and what would where none does."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from support.places import EXAMPLES

from uhd_edge.cli.main import exit_code
from uhd_edge.runtime.bundles.bundle import Bundle

if TYPE_CHECKING:
    from pathlib import Path


def test_settings_for_a_memory_are_listed_without_opening_anything(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["plan", "--memory", "8GB"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(">fp32") for line in lines) == 1
    assert lines[-1].startswith("uhd ask photo.jpg")
    assert exit_code(["plan", "--memory", "8GB", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["chosen"] == printed["settings"][0]
    assert printed["usable"] < printed["memory"] == 8 * 10**9


def settings(capsys: pytest.CaptureFixture[str], bundle: Bundle, *arguments: str) -> list[dict[str, Any]]:
    assert exit_code(["plan", "--memory", "8GB", str(bundle.path), "--json", *arguments]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["settings"]
    return found


@pytest.mark.parametrize("target", ["cpu", "orin"])
@pytest.mark.parametrize(
    ("option", "name", "held"),
    [
        (("--mode", "4x"), "modes", ["4x"]),
        (("--precision", "int8"), "precision", "int8"),
        (("--max-slices", "2"), "max_slices", 2),
        (("--context", "4096"), "context", 4096),  # its default when asking, which pins nothing
    ],
)
def test_what_is_pinned_beside_a_memory_holds_in_every_line(
    target: str, option: tuple[str, str], name: str, held: object,
    *, calibrated_tiny: Bundle, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    free = settings(capsys, calibrated_tiny, "--target", target)
    pinned = settings(capsys, calibrated_tiny, "--target", target, *option)
    assert any(one[name] != held for one in free)
    assert all(one[name] == held for one in pinned)
    for other in {"modes", "precision", "max_slices", "context"} - {name}:
        assert {str(one[other]) for one in pinned} <= {str(one[other]) for one in free}


def test_where_nothing_fits_what_is_pinned_the_pins_are_said(
    calibrated_tiny: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(calibrated_tiny.path)
    assert exit_code(["plan", "--memory", "1100MB", bundle, "--precision", "fp32", "--max-slices", "1"]) == 0
    assert "> " in capsys.readouterr().out
    assert exit_code(["plan", "--memory", "900MB", bundle, "--precision", "fp32", "--max-slices", "1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "uhd: --memory 900MB: nothing fits with --precision fp32 --max-slices 1; the smallest setting"
    )


@pytest.mark.parametrize("pinned", [(), ("--mode", "4x", "--context", "8192"), ("--precision", "int8")])
@pytest.mark.parametrize("target", ["cpu", "orin"])
def test_where_nothing_fits_the_memory_that_is_named_does_and_less_does_not(
    target: str, pinned: tuple[str, ...], *, calibrated_tiny: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    def planned(memory: str, *form: str) -> int:
        return exit_code(["plan", "--memory", memory, str(calibrated_tiny.path), "--target", target, *pinned, *form])

    assert planned("850MB") == 1
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert " fits\n" in printed.out  # what was tried
    assert ">" not in printed.out
    named = re.search(r"which fits into (\d+\.\d\d)GB, with the system", printed.err)
    assert named
    assert planned(f"{named[1]}GB") == 0
    capsys.readouterr()
    assert planned(f"{float(named[1]) - 0.01:.2f}GB", "--json") == 1
    tried = json.loads(capsys.readouterr().out)
    assert tried["chosen"] is None
    assert tried["memory"] < min(one["fits_from"] for one in tried["settings"]) <= float(named[1]) * 1e9


@pytest.mark.parametrize(("pinned", "named"), [((), True), (("--precision", "fp16"), False)])
def test_where_nothing_fits_int8_is_named_to_who_has_not_calibrated(
    pinned: tuple[str, ...], named: bool, *, calibrated_tiny: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    for bundle, said in ((Bundle.open(), named), (calibrated_tiny, False)):
        assert exit_code(["plan", "--memory", "900MB", "--target", "orin", str(bundle.path), *pinned]) == 1
        assert (f"INT8 can take less, and `uhd calibrate {bundle.path}` adds it" in capsys.readouterr().err) is said


def test_the_commands_of_a_memory_plan_hold_what_is_pinned(
    calibrated_tiny: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = ["--mode", "4x", "--precision", "int8", "--max-slices", "2", "--context", "512"]
    for target in ("cpu", "orin"):
        arguments = ["--target", target, *pinned]
        assert exit_code(["plan", "--memory", "8GB", str(calibrated_tiny.path), *arguments]) == 0
        commands = " ".join(line for line in capsys.readouterr().out.splitlines() if line.startswith("uhd "))
        assert commands.startswith("uhd ask" if target == "cpu" else "uhd build")
        for what in ("4x", "--precision int8", "--max-slices 2", "--context 512"):
            assert what in commands


def test_the_commands_of_a_plan_for_a_jetson_lead_over_a_kit_to_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(["plan", "--memory", "8GB", "--target", "orin"]) == 0
    *_, build, run, ask = capsys.readouterr().out.splitlines()
    assert exit_code(shlex.split(build)[1:]) == 0
    assert run == "kit/build.sh photo.jpg    # on the Jetson, where kit/ was copied and its README.txt was followed"
    assert (tmp_path / "kit" / "build.sh").stat().st_mode & 0o100
    asked = shlex.split(ask.replace("photo.jpg", str(EXAMPLES / "bench.png")))
    assert exit_code(asked[1:]) == 0


@pytest.mark.parametrize(
    "option",
    ["budget-ms=9", "budget-share=0.9", "question=Why?", "picture=p", "engine=auto", "threads=1", "gpu-layers=1"],
)
def test_an_option_that_a_memory_plan_cannot_hold_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["plan", "--memory", "8GB", f"--{option}"]) == 2
    name, _, _ = option.partition("=")
    assert f"--{name} counts for nothing beside --memory; leave it out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--memory", "much"], "--memory is 'much'; write a size with its unit"),
        (["--memory", "8GB", "--target", "rtx-40"], "--target is 'rtx-40'; --memory is planned for cpu, orin, thor"),
        (["--memory", "8GB", "nowhere"], "nowhere"),
        (["--memory", "8GB", "--precision", "fp16"], "fp16 cannot be planned for cpu; valid are fp32, int8"),
        (["--memory", "8GB", "--precision", "int8"], "no int8 graphs for cpu"),
        (["--memory", "8GB", "--target", "thor", "--precision", "fp8"], "make them: uhd calibrate "),
    ],
)
def test_a_memory_that_cannot_be_planned_for_is_one_line(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["plan", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert reason in said
