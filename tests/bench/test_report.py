"""Every stage of every configuration is in the report."""

from __future__ import annotations

import importlib.util
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uhd_edge.bench.report import STAGES, BenchReport, Spread
from uhd_edge.runtime.vision.encoder import VisionEncoder


def test_every_stage_of_every_configuration_has_a_value_for_every_round(report: BenchReport) -> None:
    assert len(report.measured) == 4
    for measured in report.measured:
        assert list(measured.stages) == list(STAGES)
        assert all(len(spread.values) == 2 and spread.lowest > 0 for spread in measured.stages.values())
        assert measured.tokens_per_second is not None
        assert measured.peak_memory > 50e6


def test_a_stage_is_a_part_of_the_time_to_the_first_token(report: BenchReport) -> None:
    for measured in report.measured:
        of_one_round = {stage: spread.values[0] for stage, spread in measured.stages.items()}
        parts = sum(of_one_round[stage] for stage in STAGES if stage not in ("encoder_per_view", "first_token"))
        assert parts <= of_one_round["first_token"]
        assert of_one_round["encoder_per_view"] == pytest.approx(of_one_round["encoder"] / measured.views)


def test_views_and_tokens_are_those_that_the_encoder_makes(report: BenchReport) -> None:
    with VisionEncoder(threads=1) as encoder:
        for one in report.measured:
            seen = encoder.encode(one.configuration.picture.data, mode=one.configuration.mode)
            assert (one.views, one.vision_tokens) == (len(seen.views), len(seen.embeddings))
            assert (one.precision, one.provider) == ("fp32", "CPUExecutionProvider")


def test_json_has_what_was_measured_and_on_what(report: BenchReport) -> None:
    answer = json.loads(json.dumps(report.as_object()))
    assert set(answer) == {"bundle", "machine", "settings", "measured", "notes"}
    assert answer["settings"] == {
        "rounds": 2,
        "warm_up": 0,
        "max_tokens": 4,
        "threads": 1,
        "context": 4096,
        "max_slices": None,
    }
    assert answer["machine"]["usable_cores"] >= 1
    for package in ("llama-cpp-python", "openvino"):
        installed = importlib.util.find_spec(package.replace("-", "_").removesuffix("_python")) is not None
        assert (package in answer["machine"]["packages"]) == installed
    first = answer["measured"][0]
    assert (first["size"], first["mode"], first["engine"]) == ("224x224", "16x", "onnxruntime")
    assert (first["provider"], first["language_model"]) == ("CPUExecutionProvider", "CPU")
    assert set(first["timings_ms"]) == set(STAGES)
    assert set(first["timings_ms"]["encoder"]) == {"median", "lowest", "highest", "values"}
    assert len(first["tokens_per_second"]["values"]) == 2


@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=20))
def test_a_spread_lies_around_its_median(values: list[float]) -> None:
    spread = Spread(tuple(values))
    assert spread.lowest <= spread.median <= spread.highest
    assert spread.as_object()["values"] == [round(value, 4) for value in values]
