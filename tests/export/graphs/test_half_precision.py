"""FP16 graphs keep FP32 where numbers grow, and lose next to nothing elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from support.export.half_graphs import (
    FULL,
    HALF,
    LAYERS,
    WHOLE,
    changed_copy,
    cosine,
    run,
    run_strictly,
    types_in,
    view,
    write_graphs_of,
)

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.tower import VisionTower

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def graphs(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_graphs_of(checkpoint, tmp_path_factory.mktemp("graphs"))


@pytest.mark.parametrize("name", ["encoder", "connector"])
def test_products_are_fp16_and_what_can_overflow_is_fp32(graphs: Path, name: str) -> None:
    model, types = types_in(graphs / f"{name}-fp16.onnx")
    full = {"LayerNormalization", "Softmax", "ReduceMean"}
    for node in model.graph.node:
        inputs = {types[value] for value in node.input}
        if node.op_type == "MatMul":
            assert inputs == {HALF}, node.name
        elif node.op_type in full:
            assert inputs <= {FULL, WHOLE}, node.name
    assert {types[value.name] for value in model.graph.output} == {FULL}


def test_the_residual_stream_is_fp32_from_the_embeddings_to_the_last_norm(graphs: Path) -> None:
    model, types = types_in(graphs / "encoder-fp16.onnx")
    weights = {tensor.name for tensor in model.graph.initializer}
    sums = [node for node in model.graph.node if node.op_type == "Add" and not weights & set(node.input)]
    assert len(sums) == 1 + 2 * 2 + 2
    assert {types[value] for node in sums for value in (*node.input, *node.output)} == {FULL}


@pytest.mark.parametrize("mode", ["16x", "4x"])
def test_features_in_strict_fp16_have_the_direction_of_those_in_fp32(graphs: Path, mode: str) -> None:
    expected = run(graphs / "encoder-fp32.onnx", view(mode))
    assert cosine(run_strictly(graphs / "encoder-fp16.onnx", view(mode)), expected) >= 0.99999
    assert cosine(run(graphs / "encoder-fp16.onnx", view(mode)), expected) >= 0.99999
    embeddings = run(graphs / "connector-fp32.onnx", {"features": expected})
    assert cosine(run_strictly(graphs / "connector-fp16.onnx", {"features": expected}), embeddings) >= 0.99999


PLANTED = {
    "by the patch embedding": {
        "model.vision_tower.embeddings.patch_embedding.weight": 3e5,
        "model.vision_tower.embeddings.patch_embedding.bias": 3e6,
    },
    "by the position table": {"model.vision_tower.embeddings.position_embedding.weight": 3e5},
    "by a feed-forward": {f"{LAYERS}.0.mlp.fc2.weight": 1e6, f"{LAYERS}.0.mlp.fc2.bias": 1e6},
    "by an attention": {f"{LAYERS}.0.self_attn.out_proj.weight": 1e6, f"{LAYERS}.0.self_attn.out_proj.bias": 1e6},
    "by the compressor": {
        "model.vision_tower.vit_merger.linear_2.weight": 1e6,
        "model.vision_tower.vit_merger.self_attn.out_proj.weight": 1e6,
    },
}


@pytest.mark.parametrize("channels", [slice(7, 9), slice(None)], ids=["in two channels", "in every channel"])
@pytest.mark.parametrize("factors", PLANTED.values(), ids=PLANTED.keys())
def test_activations_beyond_the_range_of_fp16_before_a_layer_norm_do_no_harm(
    checkpoint: Path, tmp_path: Path, factors: dict[str, float], channels: slice
) -> None:
    # The columns of the table are its channels, the rows those of every other tensor.
    table = [name for name in factors if "position_embedding" in name]
    source = changed_copy(checkpoint, tmp_path / "changed", factors, slice(None) if table else channels)
    planted = write_graphs_of(source, tmp_path)
    for mode in ("16x", "4x"):
        expected = run(planted / "encoder-fp32.onnx", view(mode))
        ours = run_strictly(planted / "encoder-fp16.onnx", view(mode))
        if mode == "16x" or not any("vit_merger" in name for name in factors):
            assert largest_hidden_state(source, compress=mode == "16x") > 1e5
        assert np.isfinite(ours).all()
        assert cosine(ours, expected) >= 0.9999
        assert cosine(run(planted / "encoder-fp16.onnx", view(mode)), expected) >= 0.9999


def largest_hidden_state(folder: Path, *, compress: bool) -> float:
    """The largest number that enters a LayerNorm of the vision tower."""
    found: list[float] = []
    with open_checkpoint(folder) as opened, torch.no_grad():
        tower = VisionTower(opened.config.tower).eval()
        for name, parameter in tower.named_parameters():
            parameter.copy_(torch.from_numpy(opened.tensor(f"model.vision_tower.{name}")).reshape(parameter.shape))
        for module in tower.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.register_forward_pre_hook(lambda _, inputs: found.append(float(inputs[0].abs().max())))
        inputs = view()
        tower.encode(torch.tensor(inputs["patches"]), torch.tensor(inputs["position_ids"]), compress=compress)
    return max(found)


@pytest.mark.parametrize("factor", [0.0, 1e-12, 1e-6, 1e-3, 1e3, 1e12])
def test_output_channels_of_any_size_keep_their_digits(checkpoint: Path, tmp_path: Path, factor: float) -> None:
    factors = {f"model.merger.mlp.0.linear_2.{part}": factor for part in ("weight", "bias")}
    scaled = write_graphs_of(changed_copy(checkpoint, tmp_path / "changed", factors, slice(10, 20)), tmp_path)
    features = {"features": np.random.default_rng(1).normal(size=(1, 64, 48)).astype(np.float32)}
    expected = run(scaled / "connector-fp32.onnx", features)
    ours = run_strictly(scaled / "connector-fp16.onnx", features)
    assert (np.abs(ours - expected).max(axis=(0, 1)) <= 4e-3 * expected.std(axis=(0, 1))).all()
