"""One row for each engine, precision and mode; `make test-gpu` prints them as a table at its end.

On a machine without a GPU the row of ONNX Runtime's CPU is there, and the others say why they are not.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import pytest
from support.hardware.table import Row, measure_row, table_lines

from uhd_edge.runtime.bundles.bundle import Bundle

if TYPE_CHECKING:
    from pathlib import Path

    from hardware.conftest import Built

MODES = ["16x", "4x"]


@pytest.mark.parametrize("mode", MODES)
def test_row_of_a_gpu(built: Built, mode: Any, picture: Path, record_property: Any) -> None:
    row = measure_row(built.bundle, built.backend, built.precision, mode, picture)
    record_property("row", astuple(row))
    assert row.verified.startswith("yes")
    assert row.fused != "-"


def test_row_of_the_cpu(own_bundle: Bundle, picture: Path, record_property: Any) -> None:
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
