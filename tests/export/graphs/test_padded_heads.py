"""A graph with padded attention heads computes what it did before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession
from support.export.moonvit import random_moonvit, save_moonvit_checkpoint

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.graphs.graphs import write_graphs
from uhd_edge.export.graphs.padded_heads import write_padded
from uhd_edge.runtime.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

HEAD, PADDED = 12, 16  # of the checkpoint: 48 numbers in 4 heads


@pytest.fixture(scope="module")
def graphs(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("padded")
    with open_checkpoint(checkpoint) as opened:
        write_graphs(opened, target, modes=["16x", "4x"], precisions=["fp32", "fp16"], progress=lambda _: None)
    return target / "graphs"


def run(graph: Path, uncompressed: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    inputs = {
        "patches": rng.standard_normal((2, 16, 3 * 14 * 14)).astype(np.float32),
        "position_ids": rng.integers(0, 64, (2, 16)),
        "uncompressed": np.zeros((2, uncompressed), np.int64),
    }
    (features,) = InferenceSession(graph).run(None, inputs)
    return np.asarray(features)


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", 1e-6), ("fp16", 1e-3)])
def test_the_features_are_the_same(graphs: Path, precision: str, allowed: float) -> None:
    plain = graphs / f"encoder-{precision}.onnx"
    padded = graphs / f"encoder-{precision}.padded.onnx"
    write_padded(plain, padded)
    for uncompressed in (0, 4):
        expected = run(plain, uncompressed)
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(run(padded, uncompressed), expected, rtol=0, atol=allowed * np.abs(expected).max())


def test_every_attention_has_wider_heads_and_no_weight_is_stored_again(graphs: Path) -> None:
    plain, padded = graphs / "encoder-fp16.onnx", graphs / "encoder-fp16.wide.onnx"
    write_padded(plain, padded)
    model = onnx.shape_inference.infer_shapes(onnx.load(padded))
    heads = [
        value.type.tensor_type.shape.dim[-1].dim_value
        for value in model.graph.value_info
        if value.name.endswith(("q_proj/Reshape", "k_proj/Reshape", "v_proj/Reshape"))
    ]
    assert heads == [PADDED] * 9  # two layers and the compressor
    stored = [
        {tensor.name for tensor in onnx.load(graph, load_external_data=False).graph.initializer if tensor.external_data}
        for graph in (plain, padded)
    ]
    assert stored[0] == stored[1]
    assert padded.stat().st_size < 100_000


def test_heads_that_need_no_padding_are_said_to_need_none(graphs: Path) -> None:
    padded = graphs / "encoder-fp32.once.onnx"
    write_padded(graphs / "encoder-fp32.onnx", padded)
    with pytest.raises(ExportError, match=r"encoder-fp32.once.onnx: its attention heads need no padding"):
        write_padded(padded, graphs / "twice.onnx")
    with pytest.raises(ExportError, match="need no padding"):
        write_padded(graphs / "connector-fp16.onnx", graphs / "connector.onnx")
    assert not (graphs / "twice.onnx").exists()


def test_heads_that_turn_are_said_to_stay_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    checkpoint = save_moonvit_checkpoint(folder, random_moonvit(tmp_path / "kimi")[1])
    with open_checkpoint(checkpoint) as opened:
        write_graphs(opened, tmp_path, modes=["16x"], precisions=["fp16"], progress=lambda _: None)
    graph = tmp_path / "graphs" / "encoder-16x-fp16.onnx"
    with pytest.raises(ExportError, match=r"turn by their place \(MoonViT\)"):
        write_padded(graph, graph.with_suffix(".padded.onnx"))
