"""One row for each engine, precision and mode; `make test-gpu` prints them as a table at its end.

On a machine without a GPU the row of ONNX Runtime's CPU is there, and the others say why they are not.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import pytest
from support.hardware.table import Row, measure_language_model, measure_row, table_lines, why_no_cuda

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.llm.llama_library import find_gpus, llama_library, why_no_gpu

if TYPE_CHECKING:
    from pathlib import Path

    from support.hardware.builds import Built

MODES = ["16x", "4x"]


@pytest.mark.parametrize("mode", MODES)
def test_row_of_a_gpu(any_built: Built, mode: Any, picture: Path, record_property: Any) -> None:
    row = measure_row(any_built.bundle, any_built.backend, any_built.precision, mode, picture)
    record_property("row", astuple(row))
    assert row.verified.startswith("yes")
    assert row.fused != "-"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_row_of_onnxruntime_on_a_gpu(
    own_bundle: Bundle, precision: Any, mode: Any, picture: Path, record_property: Any
) -> None:
    if reason := why_no_cuda(own_bundle):
        pytest.skip(reason)
    row = measure_row(own_bundle, "onnxruntime", precision, mode, picture)
    record_property("row", astuple(row))
    assert row.verified.startswith("yes")


@pytest.mark.parametrize("place", ["cpu", "gpu"])
def test_row_of_the_language_model(own_bundle: Bundle, place: str, picture: Path, record_property: Any) -> None:
    """llama.cpp's half, with the pictures on the CPU; only its own columns are filled."""
    gpus = find_gpus(llama_library().api)
    if place == "gpu" and not gpus.found:
        pytest.skip(f"{why_no_gpu(gpus)}; see uhd doctor")
    row = measure_language_model(own_bundle, picture, gpu_layers=-1 if place == "gpu" else 0)
    record_property("row", astuple(row))
    speed, _, where = row.tokens.partition(", ")
    assert float(speed) > 0
    assert (where == "CPU") == (place == "cpu")


def test_row_of_the_cpu(own_bundle: Bundle, picture: Path, record_property: Any) -> None:
    if not why_no_cuda(own_bundle):
        pytest.skip("onnxruntime runs on the GPU here, see its own rows")
    row = measure_row(own_bundle, "onnxruntime", "fp32", "16x", picture)
    record_property("row", astuple(row))
    assert row.verified == "yes, 1.00000"
    assert float(row.view) > 0
    assert row.memory.endswith("GB")
    assert row.first_token.endswith("ms")


def test_what_was_not_run_says_why() -> None:
    row = Row("yes, 0.99991", "27 of 28 attentions", "12.3", "1.90 GB on the GPU, 1.10 GB", "81 ms", "55, GPU")
    *_, head, _, first, second = table_lines(
        [(("tensorrt", "fp16", "16x"), row), (("tensorrt", "int8", "16x"), "no GPU")]
    )
    assert head.count("|") == first.count("|") == second.count("|")
    assert first == (
        "| tensorrt | fp16 | 16x | yes, 0.99991 | 27 of 28 attentions | 12.3 | 1.90 GB on the GPU, 1.10 GB | 81 ms "
        "| 55, GPU |"
    )
    assert second.startswith("| tensorrt | int8 | 16x | not run: no GPU |")
