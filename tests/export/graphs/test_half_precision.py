"""FP16 graphs keep FP32 where numbers grow, and lose next to nothing elsewhere."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from safetensors.torch import load_file, save_file
from support.checkpoints import TinyCheckpoint, save_checkpoint

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.graphs import half_precision, half_range
from uhd_edge.export.graphs.graphs import write_graphs
from uhd_edge.export.graphs.onnx_tower import encoder_graph
from uhd_edge.export.tower import TowerConfig, VisionTower

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LAYERS = "model.vision_tower.encoder.layers"
HALF, FULL, WHOLE = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
PATCHES = 16


def write(checkpoint: Path, target: Path) -> Path:
    with open_checkpoint(checkpoint) as opened:
        write_graphs(opened, target, modes=["16x", "4x"], precisions=["fp32", "fp16"], progress=lambda _: None)
    return target / "graphs"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tiny = TinyCheckpoint(table_side=8, vision_layers=2, insert_layer=0)
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint"), tiny)


@pytest.fixture(scope="module")
def graphs(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(checkpoint, tmp_path_factory.mktemp("graphs"))


def changed(checkpoint: Path, target: Path, factors: dict[str, float], channels: slice = slice(None)) -> Path:
    """A copy of the checkpoint with some output channels of some tensors multiplied."""
    shutil.copytree(checkpoint, target)
    tensors = load_file(target / "model.safetensors")
    for name, factor in factors.items():
        tensors[name][channels] *= factor
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def view() -> dict[str, NDArray[np.generic]]:
    random = np.random.default_rng(5)
    return {
        "patches": random.uniform(-1, 1, (2, PATCHES, 588)).astype(np.float32),
        "position_ids": random.integers(0, 64, (2, PATCHES)),
    }


def run(file: Path, inputs: dict[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    output: NDArray[np.float32] = onnxruntime.InferenceSession(file).run(None, inputs)[0]
    return output


def run_strictly(file: Path, inputs: dict[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    """Every operator in exactly the type that is written, as a strongly typed engine runs it.

    ONNX Runtime computes FP16 in FP32 on a CPU, and leaves out Casts it thinks unneeded.
    """
    output: NDArray[np.float32] = ReferenceEvaluator(onnx.load(file)).run(None, inputs)[0]
    return output


def cosine(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    one, other = ours.astype(np.float64), theirs.astype(np.float64)
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def types_in(file: Path) -> tuple[onnx.ModelProto, dict[str, int]]:
    model = onnx.shape_inference.infer_shapes(onnx.load(file), check_type=True, strict_mode=True)
    graph = model.graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        types[value.name] = value.type.tensor_type.elem_type
    return model, types


@pytest.mark.parametrize("name", ["encoder-16x", "encoder-4x", "connector"])
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


@pytest.mark.parametrize("mode", ["16x", "4x"])
def test_the_residual_stream_is_fp32_from_the_embeddings_to_the_last_norm(graphs: Path, mode: str) -> None:
    model, types = types_in(graphs / f"encoder-{mode}-fp16.onnx")
    weights = {tensor.name for tensor in model.graph.initializer}
    sums = [node for node in model.graph.node if node.op_type == "Add" and not weights & set(node.input)]
    assert len(sums) == 1 + 2 * 2 + (2 if mode == "16x" else 0)
    assert {types[value] for node in sums for value in (*node.input, *node.output)} == {FULL}


@pytest.mark.parametrize("mode", ["16x", "4x"])
def test_features_point_where_those_of_fp32_do_in_strict_fp16(graphs: Path, mode: str) -> None:
    expected = run(graphs / f"encoder-{mode}-fp32.onnx", view())
    assert cosine(run_strictly(graphs / f"encoder-{mode}-fp16.onnx", view()), expected) >= 0.99999
    assert cosine(run(graphs / f"encoder-{mode}-fp16.onnx", view()), expected) >= 0.99999
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
    source = changed(checkpoint, tmp_path / "changed", factors, slice(None) if table else channels)
    planted = write(source, tmp_path)
    for mode in ("16x", "4x"):
        expected = run(planted / f"encoder-{mode}-fp32.onnx", view())
        ours = run_strictly(planted / f"encoder-{mode}-fp16.onnx", view())
        if mode == "16x" or not any("vit_merger" in name for name in factors):
            assert largest_hidden_state(source, compress=mode == "16x") > 1e5
        assert np.isfinite(ours).all()
        assert cosine(ours, expected) >= 0.9999
        assert cosine(run(planted / f"encoder-{mode}-fp16.onnx", view()), expected) >= 0.9999


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
    source = changed(checkpoint, tmp_path / "changed", factors, slice(5, 9))
    planted = write(source, tmp_path)
    expected = run(planted / "encoder-16x-fp32.onnx", view())
    embeddings = run(planted / "connector-fp32.onnx", {"features": expected})
    with np.errstate(over="ignore", invalid="ignore"):
        ours = run_strictly(planted / "encoder-16x-fp16.onnx", view())
        joined = run_strictly(planted / "connector-fp16.onnx", {"features": expected})
    sound = np.isfinite(ours).all() and np.isfinite(joined).all()
    assert sound == protected
    if protected:
        assert cosine(ours, expected) >= 0.9999
        assert cosine(joined, embeddings) >= 0.9999
        assert cosine(run(planted / "encoder-16x-fp16.onnx", view()), expected) >= 0.9999
        wide, halves = products_by_type(planted)
        assert 0 < len(wide) <= 5  # a whole attention at most
        assert len(halves) > 20


def products_by_type(folder: Path) -> tuple[list[str], list[str]]:
    """The products of the FP16 graphs that are computed in FP32, and those in FP16."""
    found: dict[int, list[str]] = {FULL: [], HALF: []}
    for name in ("encoder-16x", "connector"):
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
    source = changed(checkpoint, tmp_path / "changed", factors, slice(3, 6))
    with open_checkpoint(source) as opened:
        graph = encoder_graph(opened.config.tower, lambda name: opened.tensor(f"model.{name}"), mode="4x").graph
        norm = next(
            node for node in graph if node.name == "vision_tower.encoder.layers.0.layer_norm2/LayerNormalization"
        )
        gain, shift = (half_range._array(value) for value in norm.inputs[1:])
        (linear,) = norm.outputs[0].consumers()
        bound = half_range._bound(linear, gain, shift)
        prefix = "model.vision_tower.encoder.layers.0"
        layer = torch.nn.Sequential(torch.nn.LayerNorm(48, eps=1e-6), torch.nn.Linear(48, 80)).double()
        layer[0].load_state_dict({name: opened.tensor(f"{prefix}.layer_norm2.{name}") for name in ("weight", "bias")})
        layer[1].load_state_dict({name: opened.tensor(f"{prefix}.mlp.fc1.{name}") for name in ("weight", "bias")})
    worst_rows = layer[1].weight.detach() * layer[0].weight.detach()
    rows = torch.cat([worst_rows, -worst_rows, torch.randn(2000, 48, dtype=torch.float64)]) * 100
    with torch.no_grad():
        outputs = layer(rows)
    largest = outputs.abs().amax(dim=0).numpy()
    assert (largest <= bound.numbers * (1 + 1e-6)).all()
    assert (largest >= 0.5 * bound.numbers).any()  # not a bound that says nothing
    assert outputs.norm(dim=1).max() <= bound.length * (1 + 1e-6)


def largest_hidden_state(folder: Path, *, compress: bool) -> float:
    """The largest number that enters a LayerNorm of the vision tower."""
    found: list[float] = []
    with open_checkpoint(folder) as opened, torch.no_grad():
        tower = VisionTower(opened.config.tower).eval()
        for name, parameter in tower.named_parameters():
            parameter.copy_(opened.tensor(f"model.vision_tower.{name}").reshape(parameter.shape))
        for module in tower.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.register_forward_pre_hook(lambda _, inputs: found.append(float(inputs[0].abs().max())))
        inputs = view()
        tower.encode(torch.tensor(inputs["patches"]), torch.tensor(inputs["position_ids"]), compress=compress)
    return max(found)


@pytest.mark.parametrize("factor", [0.0, 1e-12, 1e-6, 1e-3, 1e3, 1e12])
def test_output_channels_of_any_size_keep_their_digits(checkpoint: Path, tmp_path: Path, factor: float) -> None:
    factors = {f"model.merger.mlp.0.linear_2.{part}": factor for part in ("weight", "bias")}
    scaled = write(changed(checkpoint, tmp_path / "changed", factors, slice(10, 20)), tmp_path)
    features = {"features": np.random.default_rng(1).normal(size=(1, 64, 48)).astype(np.float32)}
    expected = run(scaled / "connector-fp32.onnx", features)
    ours = run_strictly(scaled / "connector-fp16.onnx", features)
    assert (np.abs(ours - expected).max(axis=(0, 1)) <= 4e-3 * expected.std(axis=(0, 1))).all()


def test_sizes_of_the_tower_are_those_of_the_checkpoint(checkpoint: Path) -> None:
    with open_checkpoint(checkpoint) as opened:
        assert opened.config.tower == TowerConfig(
            hidden=48,
            intermediate=80,
            layers=2,
            heads=4,
            patch=14,
            channels=3,
            table_side=8,
            insert_layer=0,
            window=4,
            merge=4,
            merge_rounds=1,
            llm_hidden=64,
        )
