"""A calibration that is interrupted goes on where it was, and comes to the same numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.int8 import copy_of

from uhd_edge.calibration.calibrate import calibrate_bundle
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.update import interrupted

# A stage, and how often progress is told in it before the interrupt: in the middle of recording, and at beginnings.
STOPS = (("for calibration", 3), ("for measuring", 1), ("int8: smoothing", 1), ("int8-tensorrt: ranges", 1))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The graphs of all runs so far."""
    found: list[Path] = []
    run = OnnxRuntimeEngine.run

    def noting(self: OnnxRuntimeEngine, inputs: dict) -> dict:  # type: ignore[type-arg]
        found.append(self._graph)
        return run(self, inputs)

    monkeypatch.setattr(OnnxRuntimeEngine, "run", noting)
    return found


def test_it_goes_on_after_every_interrupt_and_reports_the_same(
    qwen3_bundle: Bundle, calibration_pictures: Path, tmp_path: Path, runs: list[Path]
) -> None:
    pictures = [calibration_pictures / f"{index}.png" for index in (0, 1, 3)]
    bundle = copy_of(qwen3_bundle, tmp_path / "bundle")
    said: list[str] = []
    for stop, times in STOPS:
        left = [stop] * times

        def interrupt(stage: str, fraction: float, left: list[str] = left) -> None:
            assert 0 <= fraction < 1
            if left[0] in stage:
                left.pop()
                if not left:
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            calibrate_bundle(bundle, pictures, max_slices=1, threads=1, progress=interrupt, tell=said.append)
        assert len(interrupted(bundle.path)) == 1
        assert Bundle.open(bundle.path).manifest == qwen3_bundle.manifest
    (folder,) = interrupted(bundle.path)
    (folder / "trial" / "0").mkdir(parents=True)  # an interrupted run removes its trial, a killed one cannot
    resumed = calibrate_bundle(bundle, pictures, max_slices=1, threads=1, tell=said.append)
    in_pieces = len(runs)
    assert said[0].startswith("going on with the calibration that was interrupted")
    assert len(said) == len(STOPS)
    assert interrupted(bundle.path) == []
    whole = calibrate_bundle(copy_of(qwen3_bundle, tmp_path / "whole"), pictures, max_slices=1, threads=1)
    assert resumed.report.to_json() == whole.report.to_json()
    assert in_pieces == len(runs) - in_pieces  # nothing was run twice


def test_other_pictures_begin_anew_and_what_was_left_is_removed(
    qwen3_bundle: Bundle, calibration_pictures: Path, tmp_path: Path
) -> None:
    bundle = copy_of(qwen3_bundle, tmp_path / "bundle")

    def interrupt(stage: str, _fraction: float) -> None:
        if stage == "smoothing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calibrate_bundle(bundle, [calibration_pictures / "1.png"], max_slices=1, threads=1, progress=interrupt)
    (left,) = interrupted(bundle.path)
    said: list[str] = []
    calibrate_bundle(bundle, [calibration_pictures / "3.png"], max_slices=1, threads=1, tell=said.append)
    assert [line.split(" (")[0] for line in said] == [f"removed {left}"]
