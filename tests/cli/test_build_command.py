"""`uhd build`: what it prints, what it refuses, and what it does with engines that fail."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support.places import EXAMPLES

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.building.engine_record import find_engines
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.checking.verify import VerificationReport

if TYPE_CHECKING:
    from pathlib import Path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = exit_code(["build", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_prints_where_the_engines_are(qwen3_bundle: Bundle, tmp_path: Path, capsys: Any) -> None:
    bundle = shutil.copytree(qwen3_bundle.path, tmp_path / "bundle")
    code, out, err = run(capsys, bundle, "--target", "rtx-40", "--modes", "4x", "--max-slices", 1)
    assert code == 0
    assert out.splitlines() == [
        str(bundle / f"engines/rtx-40/{name}-fp16.engine") for name in ("encoder-4x", "connector")
    ]
    building, running, *steps = err.splitlines()
    assert building.startswith("uhd: building takes about ")
    assert running.startswith("uhd: running takes about ")
    assert steps == [
        "encoder-4x-fp16",
        "connector-fp16",
        "attention heads are not padded: there is no GPU here, so nothing can be timed; --attention padded pads them",
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--target", "rtx-60"], "unknown target 'rtx-60'"),
        (["--target", "rtx-20", "--precision", "fp8"], "has no FP8 units"),
        (["--target", "rtx-40", "--precision", "int8"], "make them: uhd calibrate"),
        (["--target", "orin", "--jetpack", "5.1"], "JetPack 5.1 cannot be used for orin"),
        (["--target", "rtx-40", "--jetpack", "6.2"], "leave --jetpack out"),
    ],
)
def test_what_cannot_be_built_is_one_line(qwen3_bundle: Bundle, capsys: Any, arguments: list[str], reason: str) -> None:
    code, out, err = run(capsys, qwen3_bundle.path, *arguments)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert reason in err


def test_the_former_name_of_an_option_works_and_says_what_to_use(qwen3_bundle: Bundle, capsys: Any) -> None:
    code, _, err = run(capsys, qwen3_bundle.path, "--target", "rtx-60", "--picture", "photo.jpg")
    assert code == 1
    assert err.splitlines()[0].startswith("uhd: --picture is now called --image")


def test_an_output_for_engines_is_wrong_usage(qwen3_bundle: Bundle, capsys: Any) -> None:
    code, _, err = run(capsys, qwen3_bundle.path, "--target", "rtx-40", "--output", "x")
    assert code == 2
    assert "--output is for the kits" in err


def test_an_existing_kit_is_one_line(qwen3_bundle: Bundle, tmp_path: Path, capsys: Any) -> None:
    code, out, err = run(capsys, qwen3_bundle.path, "--target", "orin", "--output", tmp_path)
    assert (code, out) == (1, "")
    assert err == f"uhd: {tmp_path}: already exists; choose another name with --output, or remove it\n"


@pytest.mark.parametrize("target", ["here", "orin", "rtx-40"])
def test_an_image_that_is_none_is_refused_before_anything_is_built(
    target: str, qwen3_bundle: Bundle, tmp_path: Path, capsys: Any
) -> None:
    code, out, err = run(capsys, qwen3_bundle.path, "--target", target, "--image", tmp_path / "nosuch.png")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "nosuch.png" in err


@pytest.mark.parametrize("target", ["orin", "rtx-40"])
def test_an_image_for_engines_that_are_not_compared_here_is_wrong_usage(
    target: str, qwen3_bundle: Bundle, capsys: Any
) -> None:
    code, _, err = run(capsys, qwen3_bundle.path, "--target", target, "--image", EXAMPLES / "bench.png")
    assert code == 2
    assert "--image is for --target here; a kit's build.sh takes images on the device" in err


def test_encoders_that_are_not_padded_with_the_others_are_named(
    calibrated_tiny: Bundle, tmp_path: Path, capsys: Any
) -> None:
    ordered = [capsys, calibrated_tiny.path, "--target", "orin", "--attention", "faster"]
    said = "uhd: attention heads stay as they are in int8: only those of FP16 encoders are padded"
    assert said in run(*ordered, "--precision", "fp16,int8", "--output", tmp_path / "both")[2].splitlines()
    assert said not in run(*ordered, "--output", tmp_path / "one")[2].splitlines()


@pytest.mark.parametrize("precision", ["", ",", "fp16,,int8"])
def test_precisions_without_a_name_are_wrong_usage(qwen3_bundle: Bundle, capsys: Any, precision: str) -> None:
    code, _, err = run(capsys, qwen3_bundle.path, "--target", "rtx-40", "--precision", precision)
    assert code == 2
    assert f"--precision {precision!r}: names with a comma between them" in err


def test_heads_that_need_no_padding_stay_plain_or_are_refused_before_anything_is_copied(
    tmp_path: Path, capsys: Any
) -> None:
    ordered = [capsys, Bundle.open().path, "--target", "orin", "--output"]
    code, _, err = run(*ordered, tmp_path / "padded", "--attention", "padded")
    assert code == 1
    assert "its attention heads need no padding" in err.splitlines()[-1]
    assert "copying" not in err
    assert not (tmp_path / "padded").exists()
    code, _, err = run(*ordered, tmp_path / "faster", "--attention", "faster")
    assert code == 0
    assert "encoder-fp16: stays plain: " in err
    assert "ATTENTION='plain'" in (tmp_path / "faster" / "build.sh").read_text()


def test_padded_heads_without_fp16_are_wrong_usage_and_a_precision_twice_is_one(
    qwen3_bundle: Bundle, tmp_path: Path, capsys: Any
) -> None:
    given = [capsys, qwen3_bundle.path, "--target", "orin", "--output", tmp_path / "kit"]
    code, _, err = run(*given, "--precision", "int8", "--attention", "padded")
    assert code == 2
    assert "--attention padded is for FP16 encoders" in err
    assert run(*given, "--precision", "fp16,fp16")[0] == 0
    assert "PRECISIONS='fp16' " in (tmp_path / "kit/build.sh").read_text()


def test_a_kit_that_will_have_nothing_to_compare_with_is_told_of(
    qwen3_bundle: Bundle, tmp_path: Path, capsys: Any
) -> None:
    bundle = shutil.copytree(qwen3_bundle.path, tmp_path / "bundle")
    manifest = json.loads((bundle / "bundle.json").read_text())
    for graphs in manifest["graphs"].values():
        del graphs["fp32"]
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    code, _, err = run(capsys, bundle, "--target", "orin", "--output", tmp_path / "half")
    assert code == 0
    assert "to compare the engines with" not in err  # FP16 ones are there
    for graphs in manifest["graphs"].values():
        graphs["fp8"] = graphs.pop("fp16")
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    code, _, err = run(capsys, bundle, "--target", "thor", "--precision", "fp8", "--output", tmp_path / "kit")
    assert err.startswith(f"uhd: {bundle} has no FP32 or FP16 graphs to compare the engines with, so auto will not use")


@pytest.mark.usefixtures("trtexec")
def test_engines_built_here_are_verified_and_kept_when_that_is_not_possible(
    qwen3_bundle: Bundle, tmp_path: Path, capsys: Any
) -> None:
    bundle = shutil.copytree(qwen3_bundle.path, tmp_path / "bundle")
    code, out, err = run(capsys, bundle, "--target", "here", "--modes", "16x")
    assert (code, out) == (1, "")
    last = err.splitlines()[-1]
    assert "built, but not verified: " in last
    assert last.endswith(f"then run uhd verify {bundle} --engine tensorrt --precision fp16")
    assert len(find_engines(bundle)) == 2


@pytest.mark.usefixtures("trtexec")
def test_engines_built_here_that_are_not_exact_enough_are_kept_aside(
    qwen3_bundle: Bundle, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def verify_bundle(bundle: Bundle, **options: Any) -> VerificationReport:
        asked.append((options["engine"], options["precision"], options["modes"]))
        return VerificationReport((), (), (), ("too far off",), (), synthetic=True)

    monkeypatch.setattr("uhd_edge.runtime.checking.verify.verify_bundle", verify_bundle)
    bundle = shutil.copytree(qwen3_bundle.path, tmp_path / "bundle")
    code, out, err = run(capsys, bundle, "--target", "here", "--modes", "16x")
    assert asked == [("tensorrt", "fp16", ["16x"])]
    assert code == 1
    assert "differ too much from FP32; they are kept in" in err
    assert "too far off" in out
    assert find_engines(bundle) == []
    assert (bundle / "engines/here/failed/encoder-16x-fp16.engine").is_file()
