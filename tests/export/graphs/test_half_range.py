"""A layer whose numbers can leave the range of FP16 stays in FP32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from support.export.half_graphs import (
    FULL,
    HALF,
    LAYERS,
    changed_copy,
    cosine,
    run,
    run_strictly,
    types_in,
    view,
    write_graphs_of,
)

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.graphs import half_precision, half_range
from uhd_edge.export.graphs.onnx_tower import encoder_graph

if TYPE_CHECKING:
    from pathlib import Path

PLANTED_INSIDE = {
    "in a feed-forward": {f"{LAYERS}.1.mlp.fc1.weight": 1e5},
    "in the values": {f"{LAYERS}.1.self_attn.v_proj.weight": 1e5},
    "in the scores": {f"{LAYERS}.0.self_attn.{name}_proj.weight": 3e3 for name in ("q", "k")},
    "in the queries": {f"{LAYERS}.1.self_attn.q_proj.weight": 1e5},
    "in the gain of a norm": {f"{LAYERS}.0.layer_norm2.weight": 1e5},
    "in the compressor": {"model.vision_tower.vit_merger.linear_1.weight": 1e5},
    "in the connector": {"model.merger.mlp.0.linear_1.weight": 1e5},
}


@pytest.mark.parametrize("protected", [True, False], ids=["protected", "unprotected"])
@pytest.mark.parametrize("factors", PLANTED_INSIDE.values(), ids=PLANTED_INSIDE.keys())
def test_outliers_beyond_the_range_of_fp16_inside_a_layer_keep_that_layer_in_fp32(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factors: dict[str, float], protected: bool
) -> None:
    if not protected:
        monkeypatch.setattr(half_precision, "products_near_overflow", lambda *_: frozenset())
    source = changed_copy(checkpoint, tmp_path / "changed", factors, slice(5, 9))
    planted = write_graphs_of(source, tmp_path)
    expected = run(planted / "encoder-fp32.onnx", view())
    embeddings = run(planted / "connector-fp32.onnx", {"features": expected})
    with np.errstate(over="ignore", invalid="ignore"):
        ours = run_strictly(planted / "encoder-fp16.onnx", view())
        joined = run_strictly(planted / "connector-fp16.onnx", {"features": expected})
    sound = np.isfinite(ours).all() and np.isfinite(joined).all()
    assert sound == protected
    if protected:
        assert cosine(ours, expected) >= 0.9999
        assert cosine(joined, embeddings) >= 0.9999
        assert cosine(run(planted / "encoder-fp16.onnx", view()), expected) >= 0.9999
        wide, halves = products_by_type(planted)
        assert 0 < len(wide) <= 5  # a whole attention at most
        assert len(halves) > 20


def products_by_type(folder: Path) -> tuple[list[str], list[str]]:
    """The products of the FP16 graphs that are computed in FP32, and those in FP16."""
    found: dict[int, list[str]] = {FULL: [], HALF: []}
    for name in ("encoder", "connector"):
        model, types = types_in(folder / f"{name}-fp16.onnx")
        for node in model.graph.node:
            if node.op_type == "MatMul":
                found[types[node.output[0]]].append(node.name)
    return found[FULL], found[HALF]


@pytest.mark.parametrize("factor", [1.0, 30.0])
def test_no_input_exceeds_the_bounds_that_decide_what_stays_fp32(
    checkpoint: Path, tmp_path: Path, factor: float
) -> None:
    """Rows chosen to be as bad as can be: each drives one output channel to its bound."""
    factors = {f"{LAYERS}.0.layer_norm2.{part}": factor for part in ("weight", "bias")}
    source = changed_copy(checkpoint, tmp_path / "changed", factors, slice(3, 6))
    with open_checkpoint(source) as opened:
        graph = encoder_graph(opened.config.tower, lambda name: opened.tensor(f"model.{name}"), modes=["4x"]).graph
        norm = next(
            node for node in graph if node.name == "vision_tower.encoder.layers.0.layer_norm2/LayerNormalization"
        )
        gain, shift = (half_range._array(value) for value in norm.inputs[1:])
        (linear,) = norm.outputs[0].consumers()
        bound = half_range._bound(linear, gain, shift)
        prefix = "model.vision_tower.encoder.layers.0"
        layer = torch.nn.Sequential(torch.nn.LayerNorm(48, eps=1e-6), torch.nn.Linear(48, 80)).double()
        for module, of in zip(layer, ("layer_norm2", "mlp.fc1"), strict=True):
            parts = {name: opened.tensor(f"{prefix}.{of}.{name}") for name in ("weight", "bias")}
            module.load_state_dict({name: torch.from_numpy(array) for name, array in parts.items()})
    worst_rows = layer[1].weight.detach() * layer[0].weight.detach()
    rows = torch.cat([worst_rows, -worst_rows, torch.randn(2000, 48, dtype=torch.float64)]) * 100
    with torch.no_grad():
        outputs = layer(rows)
    largest = outputs.abs().amax(dim=0).numpy()
    assert (largest <= bound.numbers * (1 + 1e-6)).all()
    assert (largest >= 0.5 * bound.numbers).any()  # not a bound that says nothing
    assert outputs.norm(dim=1).max() <= bound.length * (1 + 1e-6)
