"""The report as a table for a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from uhd_edge.bench.report import BenchReport
from uhd_edge.bench.table import number, table


def test_the_table_has_a_block_for_each_size_and_a_row_for_each_stage(report: BenchReport) -> None:
    first, second = table(report).split("\n\n")[1:]
    assert first.startswith("224x224")
    assert second.startswith("448x300")
    for label in ("decode", "  per view", "prefill", "first token", "tokens per second", "peak memory, MB"):
        assert f"\n{label}" in first
    assert "16x fp32 onnxruntime" in first.splitlines()[0]


def test_the_table_says_where_each_half_ran(report: BenchReport) -> None:
    assert table(report).splitlines()[1:3] == ["vision: fp32 on CPUExecutionProvider", "language model: CPU"]


def test_a_gpu_that_only_some_were_measured_on_is_told_too(report: BenchReport) -> None:
    first, *others = report.measured
    on_gpu = replace(first, provider="TensorRT", language_model="RTX 4090 (CUDA), 25 of 25 layers")
    _, vision, language, *_ = table(replace(report, measured=(on_gpu, *others))).splitlines()
    assert vision == "vision: fp32 on TensorRT, fp32 on CPUExecutionProvider"
    assert language == "language model: RTX 4090 (CUDA), 25 of 25 layers; CPU"


def test_a_block_has_no_more_columns_than_a_terminal_takes(report: BenchReport) -> None:
    many = replace(report, measured=report.measured[:1] * 6)
    _, *blocks = table(many).split("\n\n")
    assert [block.splitlines()[0].count("onnxruntime") for block in blocks] == [4, 2]


def test_an_answer_of_one_token_has_no_speed(report: BenchReport) -> None:
    silent = replace(report.measured[0], tokens_per_second=None)
    assert silent.as_object()["tokens_per_second"] is None
    assert "\ntokens per second\n" in table(replace(report, measured=(silent,)))


@pytest.mark.parametrize(("value", "text"), [(0.123, "0.12"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12346")])
def test_numbers_keep_three_digits(value: float, text: str) -> None:
    assert number(value) == text
