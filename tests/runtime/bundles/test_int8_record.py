"""Which INT8 graphs are taken unasked: those that their own calibration verified on pictures it had held out."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from uhd_edge.calibration.calibrate import Calibrated
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.int8_record import int8_verdict


def test_a_calibration_that_reached_its_goal_verifies_both_kinds_of_graph(calibrated: Calibrated) -> None:
    for kind, flavour in calibrated.report.flavours.items():
        verdict = int8_verdict(calibrated.bundle, kind)
        lowest = flavour.steps[-1].agreement.lowest_cosine
        assert verdict.verified
        assert verdict.reason == f"its calibration saw a lowest cosine of {lowest:.5f} on the 1 picture held out"


def test_a_bundle_without_a_calibration_has_no_verified_int8() -> None:
    verdict = int8_verdict(Bundle.open(), "int8")
    assert (verdict.verified, verdict.reason) == (False, "no calibration verified its INT8")


def measured(*cosines: float, token: float = 0.99) -> dict[str, Any]:
    """The part of a report that counts; all steps but the last were rejected."""
    steps = [
        {"name": "a step", "taken": number == len(cosines) - 1, "agreement": agreement}
        for number, agreement in enumerate(
            {"lowest_cosine": cosine, "lowest_token_cosine": token, "mean_cosine": 1.0} for cosine in cosines
        )
    ]
    return {
        "calibrated_with": ["1.png", "2.png"],
        "measured_on": ["3.png"],
        "goal": {"cosine": 0.9995, "token_cosine": 0.9},
        "flavours": {"int8": {"steps": steps}},
    }


def without(report: dict[str, Any], name: str) -> dict[str, Any]:
    return {field: value for field, value in report.items() if field != name}


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (measured(0.9994), "missed its goal, cosine 0.99950, on the 1 picture held out"),
        (measured(0.9999, 0.9994), "missed its goal"),
        (measured(0.9999, token=0.8), "missed its goal"),
        (measured(math.nan), "missed its goal"),
        (measured(0.9999) | {"measured_on": ["1.png", "2.png"]}, "no other picture than the one"),
        (without(measured(0.9999), "measured_on"), "does not tell how exact its INT8 is; calibrate again"),
        (measured(0.9999) | {"measured_on": []}, "does not tell"),
        (without(measured(0.9999), "goal"), "does not tell"),
        (measured(0.9999) | {"flavours": {}}, "does not tell"),
        (measured(), "does not tell"),
        ([], "does not tell"),
        (None, "does not tell"),
    ],
)
def test_without_a_good_result_on_pictures_held_out_nothing_is_verified_and_the_reason_is_given(
    report: Any, reason: str, tmp_path: Path
) -> None:
    verdict = int8_verdict(with_report(tmp_path, report), "int8")
    assert not verdict.verified
    assert reason in verdict.reason


def test_the_last_step_that_was_taken_counts_and_the_bundles_own_threshold_as_well(tmp_path: Path) -> None:
    bundle = with_report(tmp_path, measured(0.5, 0.9996))
    assert int8_verdict(bundle, "int8").verified
    strict = bundle.manifest.thresholds.int8.model_copy(update={"cosine": 0.9997})
    thresholds = bundle.manifest.thresholds.model_copy(update={"int8": strict})
    stricter = Bundle(bundle.path, bundle.manifest.model_copy(update={"thresholds": thresholds}))
    assert not int8_verdict(stricter, "int8").verified


def with_report(folder: Path, report: Any) -> Bundle:
    """The built-in bundle's manifest, with a report beside it; None is a report that is cut off."""
    (folder / "calibration.json").write_text("{" if report is None else json.dumps(report))
    return Bundle(folder, Bundle.open().manifest.model_copy(update={"calibration": "calibration.json"}))
