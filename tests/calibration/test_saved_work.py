"""What an interrupted calibration keeps is read back exactly, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from uhd_edge.calibration.ranges.linears import Linear, Site
from uhd_edge.calibration.ranges.recorder import Recorder
from uhd_edge.calibration.saved_work import SavedWork

SITE = Site("a/b", (Linear("linear", "a/b"),), None)


def view(seed: int) -> dict[str, np.ndarray]:
    values = np.random.default_rng(seed).standard_normal((1, 700, 5)).astype(np.float32)
    return {"a/b": values, "linear/peak": np.float32(values.max())}


def record(recorder: Recorder, seeds: range) -> Recorder:
    for seed in seeds:
        recorder.add(f"photo {seed}", [(view(seed), [SITE])], np.full((2, 3), seed, np.float32))
    return recorder


def test_a_recorder_that_goes_on_holds_what_one_does_that_was_not_interrupted(tmp_path: Path) -> None:
    saved = SavedWork(tmp_path)
    saved.keep_arrays("seen 16x", record(Recorder(3), range(4)).arrays())
    resumed = record(Recorder(3, saved.arrays("seen 16x")), range(4, 7))
    whole = record(Recorder(3), range(7))
    assert resumed.views == whole.views == 7
    for name, expected in whole.arrays().items():
        np.testing.assert_array_equal(resumed.arrays()[name], expected)
    assert resumed.recorded().outputs == whole.recorded().outputs


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"not a number"])
def test_a_damaged_part_is_made_again(tmp_path: Path, damage: bytes) -> None:
    saved = SavedWork(tmp_path)
    assert saved.value("a value", lambda: [0.1, "max"]) == [0.1, "max"]
    assert saved.value("a value", lambda: pytest.fail("made again")) == [0.1, "max"]
    saved.keep_arrays("some arrays", {"one": np.arange(3)})
    for file in tmp_path.iterdir():
        file.write_bytes(damage)
    assert saved.arrays("some arrays") is None
    assert saved.value("a value", lambda: 7) == 7
    assert saved.arrays("nothing") is None
