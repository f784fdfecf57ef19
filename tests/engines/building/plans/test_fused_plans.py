"""TensorRT-RTX fuses every attention of our FP16 encoders: engines with SigLIP's heads were really built."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support.checkpoints import TinyCheckpoint, save_checkpoint

from uhd_edge.engines.building.builder import compile_graph
from uhd_edge.engines.building.profiles import ShapeRange
from uhd_edge.engines.graph_files import count_operators
from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.graphs.graphs import write_graphs
from uhd_edge.export.graphs.padded_heads import write_padded

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for x86-64 alone")

# One layer and the compressor, with heads of 72 numbers.
TOWER = TinyCheckpoint(table_side=8, vision_layers=1, insert_layer=0, vision_hidden=144, vision_heads=2)
SHAPES = {
    "patches": ShapeRange((1, 16, 588), (1, 64, 588), (1, 64, 588)),
    "position_ids": ShapeRange((1, 16), (1, 64), (1, 64)),
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siglip")
    with open_checkpoint(save_checkpoint(folder / "checkpoint", TOWER)) as checkpoint:
        write_graphs(checkpoint, folder, modes=["16x"], precisions=["fp16"], progress=lambda _: None)
    return folder / "graphs" / "encoder-16x-fp16.onnx"


@pytest.mark.parametrize("flavour", ["plain", "padded"])
def test_each_attention_is_one_kernel_and_nothing_is_padded_at_run_time(encoder: Path, flavour: str) -> None:
    graph = encoder
    if flavour == "padded":
        graph = encoder.with_name("padded.onnx")
        write_padded(encoder, graph)
    plan = bytes(compile_graph(graph, (SHAPES,), backend="tensorrt-rtx", compute_capability="8.9", timing_cache=None))
    assert count_operators(graph, "Softmax") == 2
    assert len(re.findall(rb"\b_gemm_mha_v2\b", plan)) == 2
    assert re.findall(rb"\n\s*(pad\w*)=\{ name=", plan) == []
