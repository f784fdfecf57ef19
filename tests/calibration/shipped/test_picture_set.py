"""The pictures that come with the package: the same every time, of every kind, cut into few views, and small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.int8 import copy_of

from uhd_edge.calibration.pictures import Pictures, split_pictures
from uhd_edge.calibration.shipped import picture_set
from uhd_edge.calibration.shipped.photographs import PARTS
from uhd_edge.calibration.shipped.picture_set import COUNT, KINDS, write_pictures
from uhd_edge.cli.main import exit_code
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.int8_record import int8_verdict


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The pictures for views of 112 pixels."""
    return write_pictures(tmp_path_factory.mktemp("shipped") / "pictures", 112)


def test_they_are_the_same_every_time(written: list[Path], tmp_path: Path) -> None:
    again = write_pictures(tmp_path / "again", 112)
    assert [file.name for file in again] == [file.name for file in written]
    for one, other in zip(written, again, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other)))


def test_no_two_are_alike_and_none_is_of_one_colour(written: list[Path]) -> None:
    small = [np.asarray(Image.open(file).resize((32, 32)), np.float64) for file in written]
    assert min(picture.std() for picture in small) > 5
    differences = [abs(one - other).mean() for index, one in enumerate(small) for other in small[:index]]
    assert min(differences) > 5


def test_those_held_out_to_measure_on_are_of_every_kind(written: list[Path]) -> None:
    assert len(written) == COUNT == 28
    calibrated_with, measured_on = split_pictures(written)
    for pictures in (calibrated_with, measured_on):
        assert {file.stem.partition("-")[2] for file in pictures} == {name for name, _ in KINDS}


def test_no_photograph_is_both_calibrated_with_and_measured_on(written: list[Path]) -> None:
    def taken(files: list[Path]) -> set[str]:
        numbers = [divmod(int(file.stem[:2]) - 1, len(KINDS)) for file in files if "photograph" in file.name]
        return {PARTS[2 * number + (kind > 0)][0] for number, kind in numbers}

    calibrated_with, measured_on = split_pictures(written)
    assert taken(measured_on) == {"brick", "camera"}
    assert taken(calibrated_with) == {"chelsea", "coffee", "hubble", "rocket"}


def test_one_in_four_is_cut_into_slices_and_a_calibration_sees_few_views(written: list[Path]) -> None:
    manifest = Bundle.open().manifest
    half = manifest.preprocessing.model_copy(update={"scale_resolution": 112})
    views = [
        len(list(Pictures((file,), None).views(manifest.model_copy(update={"preprocessing": half}), "16x")))
        for file in written
    ]
    assert sum(count > 1 for count in views) == COUNT // 4
    assert sum(views) <= 55
    assert max(views) == 5


def test_what_is_not_drawn_is_small_and_its_sources_are_named() -> None:
    folder = Path(picture_set.__file__).parent / "photographs"
    photographs = sorted(folder.glob("*.jpg"))
    sources = (folder / "SOURCES.txt").read_text(encoding="utf-8")
    assert photographs
    assert sum(file.stat().st_size for file in folder.iterdir()) < 400_000
    for file in photographs:
        assert f"\n{file.name} " in sources


def test_calibrating_without_pictures_takes_them_says_what_that_is_worth_and_makes_int8_that_is_taken(
    qwen3_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_set, "COUNT", 5)
    bundle = copy_of(qwen3_bundle, tmp_path / "bundle")
    assert exit_code(["calibrate", str(bundle.path), "--max-slices", "1", "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert "calibrated with 4 pictures, 8 views; measured on 1 other" in printed
    assert "the pictures are uhd-edge's own; 24 of what your device will see" in printed
    calibrated = Bundle.open(bundle.path)
    calibrated.check_files()
    report = json.loads((bundle.path / str(calibrated.manifest.calibration)).read_text())
    assert report["shipped_pictures"] is True
    assert len(report["calibrated_with"]) == 4
    verdict = int8_verdict(calibrated, "int8")
    assert verdict.verified
    assert verdict.reason.endswith("on the 1 picture held out of uhd-edge's own")
    assert not [path for path in bundle.path.rglob("*") if path.suffix == ".png" and path.parent != bundle.path]
