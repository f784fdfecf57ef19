"""Calibrating: how close INT8 comes, what is reported and written, and what happens without pictures."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from support.int8 import KINDS, MODES, copy_of, cosines, draw_pictures

from uhd_edge.calibration.calibrate import Calibrated, calibrate_bundle
from uhd_edge.calibration.report import table
from uhd_edge.cli.main import exit_code
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import CalibrationError, ImageError, OutputError

STEPS = ["naive", "connector excluded", "smoothing", "ranges", "layers excluded"]


def test_int8_is_close_to_fp32_on_pictures_it_was_not_made_from(calibrated: Calibrated, tmp_path: Path) -> None:
    held_out = draw_pictures(tmp_path, 4, seed=2)
    for mode in MODES:
        assert min(cosines(calibrated.bundle, held_out, mode)) >= 0.999


def test_the_report_tells_what_each_step_gained_and_lies_in_the_bundle(calibrated: Calibrated) -> None:
    bundle, report = calibrated.bundle, calibrated.report
    bundle.check_files()
    assert bundle.describe_graphs() == "16x (fp32, fp16, int8, int8-tensorrt), 4x (fp32, fp16, int8, int8-tensorrt)"
    written = json.loads((bundle.path / str(bundle.manifest.calibration)).read_text())
    for kind in KINDS:
        steps = report.flavours[kind].steps
        assert [step.name for step in steps] == STEPS
        assert steps[-1].agreement.reaches(report.goal)
        taken = [step.agreement.lowest_cosine for step in steps if step.taken]
        assert taken[-1] >= taken[0]
        stored = written["flavours"][kind]
        assert [step["agreement"]["lowest_cosine"] for step in stored["steps"]] == [
            step.agreement.lowest_cosine for step in steps
        ]
        assert {step["agreement"]["worst_view"].split(",")[0] for step in stored["steps"]} <= {*written["measured_on"]}
        assert len(stored["layers"]) == 26  # three layers, the compressor and the connector
        for name in (*STEPS, f"{steps[0].agreement.lowest_cosine:.6f}"):
            assert name in table(report)
    with Image.open(bundle.path / "calibration.png") as plot:
        plot.verify()
        assert plot.format == "PNG"


def test_calibrating_again_replaces_the_int8_graphs_and_nothing_else_also_with_hard_links(
    calibrated: Calibrated, calibration_pictures: Path, tmp_path: Path
) -> None:
    old = Bundle.open(shutil.copytree(calibrated.bundle.path, tmp_path / "again", copy_function=os.link))
    new = calibrate_bundle(old, [calibration_pictures / "0.png", calibration_pictures / "1.png"], threads=1).bundle
    new.check_files()
    assert new.manifest.calibration == "calibration.2.json"
    assert {name for name in old.manifest.files if "int8" not in name and "calibration" not in name} == {
        name for name in new.manifest.files if "int8" not in name and "calibration" not in name
    }
    on_disk = {path.relative_to(new.path).as_posix() for path in new.path.rglob("*") if path.is_file()}
    assert on_disk == {*new.manifest.files, "bundle.json"}
    assert len(new.manifest.files) == len(old.manifest.files)


@pytest.mark.parametrize("count", [1, 2])
def test_folders_without_pictures_are_an_error_and_give_no_ranges(
    qwen3_bundle: Bundle, tmp_path: Path, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [tmp_path / str(index) for index in range(count)]
    for source in sources:
        source.mkdir()
        (source / "notes.txt").write_text("no picture")
    with pytest.raises(CalibrationError, match="no pictures in"):
        calibrate_bundle(qwen3_bundle, sources)
    assert exit_code(["calibrate", str(qwen3_bundle.path), *map(str, sources)]) == 1
    assert "no pictures in" in capsys.readouterr().err
    assert Bundle.open(qwen3_bundle.path) == qwen3_bundle


def test_a_picture_that_is_missing_or_broken_is_named_and_the_bundle_stays(
    qwen3_bundle: Bundle, calibration_pictures: Path, tmp_path: Path
) -> None:
    bundle = copy_of(qwen3_bundle, tmp_path / "bundle")
    before = sorted(path.name for path in bundle.path.rglob("*"))
    with pytest.raises(CalibrationError, match=r"nothing\.png: no such picture"):
        calibrate_bundle(bundle, [tmp_path / "nothing.png"])
    broken = tmp_path / "broken.png"
    broken.write_bytes((calibration_pictures / "0.png").read_bytes()[:500])
    with pytest.raises(ImageError, match=r"broken\.png"):
        calibrate_bundle(bundle, [broken])
    assert sorted(path.name for path in bundle.path.rglob("*")) == before
    assert Bundle.open(bundle.path) == bundle


def test_a_bundle_without_fp32_cannot_be_calibrated_and_one_without_fp16_gets_no_graph_for_tensorrt(
    qwen3_bundle: Bundle, calibration_pictures: Path, tmp_path: Path
) -> None:
    def only(precision: str) -> Bundle:
        bundle = copy_of(qwen3_bundle, tmp_path / precision)
        content = json.loads((bundle.path / "bundle.json").read_text())
        content["graphs"] = {"16x": {precision: content["graphs"]["16x"][precision]}}
        (bundle.path / "bundle.json").write_text(json.dumps(content))
        return Bundle.open(bundle.path)

    with pytest.raises(CalibrationError, match="export with --precisions fp32"):
        calibrate_bundle(only("fp16"), [calibration_pictures / "0.png"])
    assert (
        calibrate_bundle(only("fp32"), [calibration_pictures / "1.png"]).bundle.describe_graphs() == "16x (fp32, int8)"
    )


def test_a_bundle_that_cannot_be_written_is_said_so_at_once(
    qwen3_bundle: Bundle, calibration_pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match="Read-only file system"):
        calibrate_bundle(qwen3_bundle, [calibration_pictures])


def test_an_unreachable_goal_puts_every_layer_back(
    qwen3_bundle: Bundle, calibration_pictures: Path, tmp_path: Path
) -> None:
    bundle = copy_of(qwen3_bundle, tmp_path / "bundle")
    report = calibrate_bundle(bundle, [calibration_pictures / "1.png"], max_slices=1, cosine=1.0, threads=1).report
    assert report.goal.cosine == 1.0
    assert len(report.flavours["int8"].put_back) == 26
    assert report.flavours["int8"].steps[-1].agreement.lowest_cosine == pytest.approx(1, abs=1e-6)


def test_the_command_prints_the_table_and_json(
    qwen3_bundle: Bundle, calibration_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = copy_of(qwen3_bundle, tmp_path / "bundle")
    arguments = [
        "calibrate",
        str(bundle.path),
        str(calibration_pictures / "1.png"),
        "--max-slices",
        "1",
        "--threads",
        "1",
    ]
    assert exit_code(arguments) == 0
    printed = capsys.readouterr()
    assert "layers excluded" in printed.out
    assert "calibrated with and measured on one picture" in printed.out
    assert "16x (fp32, fp16, int8, int8-tensorrt)" in printed.out
    assert "smoothing" in printed.err
    assert exit_code([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calibrated_with"] == ["1.png"]
    assert "int8-tensorrt" in Bundle.open(bundle.path).describe_graphs()
