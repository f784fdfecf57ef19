"""The file in which several graphs keep their weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from uhd_edge.export.graphs.weight_file import ALIGNMENT, WeightFile
from uhd_edge.runtime.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def graph_with(**weights: NDArray[np.generic]) -> ir.Model:
    """Make a graph of nothing but weights that have still to be read."""
    values = []
    for name, array in weights.items():
        kind = ir.DataType.from_numpy(array.dtype)
        lazy = ir.LazyTensor(partial(ir.tensor, array), kind, ir.Shape(array.shape), name=name)
        values.append(ir.Value(name=name, const_value=lazy))
    return ir.Model(ir.Graph([], [], nodes=[], initializers=values), ir_version=10)


def test_a_weight_of_two_graphs_is_written_once_and_read_back(tmp_path: Path) -> None:
    shared, own = np.arange(5, dtype=np.float32), np.arange(7, dtype=np.float16)
    first, second = graph_with(shared=shared), graph_with(shared=shared, own=own)
    with WeightFile(tmp_path / "weights") as weights:
        weights.move_weights(first)
        weights.move_weights(second)
    read = {name: value.const_value for name, value in second.graph.initializers.items()}
    assert first.graph.initializers["shared"].const_value is read["shared"]
    np.testing.assert_array_equal(read["shared"], shared)
    np.testing.assert_array_equal(read["own"], own)
    assert (tmp_path / "weights").stat().st_size == ALIGNMENT + own.nbytes


def test_a_weight_that_became_infinite_in_fp16_is_refused_by_name(tmp_path: Path) -> None:
    with np.errstate(over="ignore"):
        weight = np.array([1e5], np.float32).astype(np.float16)
    refused = pytest.raises(ExportError, match="large has values that are too large for FP16")
    with WeightFile(tmp_path / "weights") as weights, refused:
        weights.move_weights(graph_with(large=weight))
