"""INT8 on ONNX Runtime beside integers that cannot overflow, on processors with and without VNNI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.int8 import (
    WITH_VNNI,
    WITHOUT_VNNI,
    rows,
    save_saturating,
    true_product,
    where_int8_is_exact,
    where_int8_saturates,
)

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine

if TYPE_CHECKING:
    from uhd_edge.engines.processor import Processor


def computed(folder: Path, *, count: int, fused: bool, processor: Processor | None = None) -> np.ndarray:
    graph = save_saturating(folder / "saturating.onnx", fused=fused)
    with OnnxRuntimeEngine(graph, threads=1, processor=processor) as engine:
        return engine.run({"x": rows(count)})["y"]


# One row is multiplied by other code than several.
SHAPES = pytest.mark.parametrize("count", [1, 7, 64])
OPERATORS = pytest.mark.parametrize("fused", [False, True])


@SHAPES
@OPERATORS
def test_int8_is_what_integers_say_on_this_processor(tmp_path: Path, count: int, fused: bool) -> None:
    np.testing.assert_allclose(computed(tmp_path, count=count, fused=fused), true_product(rows(count)), rtol=1e-6)


def test_simulated_products_are_those_of_integers_on_every_processor(tmp_path: Path) -> None:
    """So graphs for TensorRT are measured, whose weights ONNX Runtime cannot take as uint8."""
    graph = save_saturating(tmp_path / "saturating.onnx", fused=False)
    for processor in (WITH_VNNI, WITHOUT_VNNI):
        with OnnxRuntimeEngine(graph, threads=1, products="simulated", processor=processor) as engine:
            np.testing.assert_allclose(engine.run({"x": rows(7)})["y"], true_product(rows(7)), rtol=1e-6)


@where_int8_saturates
@SHAPES
@OPERATORS
def test_without_vnni_it_would_overflow_as_if_there_were_vnni(tmp_path: Path, count: int, fused: bool) -> None:
    """The cure is what makes the difference: taken for a processor with VNNI, this one is wrong."""
    found = computed(tmp_path, count=count, fused=fused, processor=WITH_VNNI)
    expected = true_product(rows(count))
    assert np.abs(found[:, :2] / expected[:, :2]).max() < 0.9
    np.testing.assert_allclose(found[:, 6:], expected[:, 6:], rtol=1e-6)  # what fits is right in either case


@where_int8_is_exact
@SHAPES
@OPERATORS
def test_with_sums_in_32_bits_the_cure_changes_nothing(tmp_path: Path, count: int, fused: bool) -> None:
    one, other = (
        computed(tmp_path, count=count, fused=fused, processor=processor) for processor in (WITH_VNNI, WITHOUT_VNNI)
    )
    np.testing.assert_array_equal(one, other)
