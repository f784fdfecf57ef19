"""MoonViT: the features of transformers on every grid, from a checkpoint with the names of Moonshot's code."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from safetensors.torch import load_file
from support.export.changed_checkpoint import change_json, change_tensors, refusal
from support.export.half_graphs import changed_copy, cosine, run_strictly
from support.export.moonvit import FILE, INSERT, TINY, encode, random_moonvit, save_moonvit_checkpoint
from transformers.vision_utils import get_vision_position_ids

from uhd_edge.engines.openvino import OpenVinoEngine
from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.export import export_bundle
from uhd_edge.export.graphs import half_precision
from uhd_edge.export.graphs.graphs import write_graphs
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.bundles.backbones import PLACES
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.model_sizes import MINICPM_V_4_6
from uhd_edge.runtime.images.synthetic_pictures import shapes
from uhd_edge.runtime.vision.patches import position_ids

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from transformers.models.kimi_k25.modeling_kimi_k25 import Kimi_K25VisionModel

# Thin, odd, as large as the position table, larger than it; and the most columns that there are places for.
VISION = MINICPM_V_4_6.vision.model_copy(update={"backbone": "moonvit"})
GRIDS = [(1, 1), (1, 17), (31, 3), (7, 5), (9, 9), (33, 29), (1, PLACES)]


@pytest.fixture(scope="module")
def moonvit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Kimi_K25VisionModel, Path]:
    """The tower in transformers, and a checkpoint with it."""
    folder = tmp_path_factory.mktemp("moonvit")
    tower, tensors = random_moonvit(folder / "kimi")
    return tower, save_moonvit_checkpoint(folder / "checkpoint", tensors)


@pytest.fixture(scope="module")
def graphs(moonvit: tuple[Kimi_K25VisionModel, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Encoders without the compressor, in FP32 and FP16."""
    folder = tmp_path_factory.mktemp("graphs")
    with open_checkpoint(moonvit[1]) as checkpoint:
        write_graphs(checkpoint, folder, modes=["4x"], precisions=["fp16", "fp32"], progress=lambda _: None)
    return folder / "graphs"


@pytest.fixture(scope="module")
def averaging(moonvit: tuple[Kimi_K25VisionModel, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder of both modes of the same tower, with a compressor that averages windows."""
    folder = tmp_path_factory.mktemp("averaging")
    checkpoint = shutil.copytree(moonvit[1], folder / "checkpoint")
    change_json(checkpoint / "config.json", vision_config__compressor="average-pool")
    own = [name for name in load_file(checkpoint / FILE) if ".vit_merger." in name]
    change_tensors(checkpoint, dict.fromkeys(own))
    with open_checkpoint(checkpoint) as opened:
        write_graphs(opened, folder, modes=["16x", "4x"], precisions=["fp32"], progress=lambda _: None)
    return folder / "graphs" / "encoder-fp32.onnx"


def view(rows: int, columns: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Random patches of one view in rows, as the tower sees them without anything that merges."""
    values = np.random.default_rng(seed).uniform(-1, 1, (1, rows * columns, 3 * TINY.patch**2)).astype(np.float32)
    grid = np.arange(rows)[:, None] * PLACES + np.arange(columns)
    return {"patches": values, "position_ids": grid.reshape(1, -1)}


def theirs(tower: Kimi_K25VisionModel, inputs: dict[str, NDArray[Any]], rows: int, columns: int) -> NDArray[np.float32]:
    features: NDArray[np.float32] = encode(tower, torch.tensor(inputs["patches"][0]), rows, columns).numpy()
    return features


@pytest.mark.parametrize(("rows", "columns"), GRIDS)
def test_features_are_those_of_transformers_on_every_grid(
    moonvit: tuple[Kimi_K25VisionModel, Path], graphs: Path, rows: int, columns: int
) -> None:
    inputs = view(rows, columns)
    expected = theirs(moonvit[0], inputs, rows, columns)
    (ours,) = InferenceSession(graphs / "encoder-4x-fp32.onnx").run(None, inputs)
    assert np.abs(ours[0] - expected).max() <= 1e-4 * expected.std()


def test_where_a_patch_is_matters(moonvit: tuple[Kimi_K25VisionModel, Path], graphs: Path) -> None:
    """The other test would pass with positions that count for nothing in the random tower."""
    wide, tall = view(3, 11), view(11, 3)
    session = InferenceSession(graphs / "encoder-4x-fp32.onnx")
    (one,), (other,) = (session.run(None, wide | given) for given in ({}, {"position_ids": tall["position_ids"]}))
    assert np.abs(one - other).max() > 0.3 * one.std()


def test_openvino_differs_by_a_ten_thousandth_at_most(moonvit: tuple[Kimi_K25VisionModel, Path], graphs: Path) -> None:
    with OpenVinoEngine(graphs / "encoder-4x-fp32.onnx", threads=1) as engine:
        for rows, columns in GRIDS[1:]:  # OpenVINO errs after a view of one patch, of a SigLIP too; no view is as small
            inputs = view(rows, columns)
            expected = theirs(moonvit[0], inputs, rows, columns)
            assert np.abs(engine.run(inputs)["features"][0] - expected).max() <= 1e-4 * expected.std()


@pytest.mark.parametrize(("rows", "columns"), [(1, 17), (31, 3), (7, 5), (33, 29), (1, PLACES)])
def test_fp16_points_where_transformers_does(
    moonvit: tuple[Kimi_K25VisionModel, Path], graphs: Path, rows: int, columns: int
) -> None:
    inputs = view(rows, columns)
    ours = run_strictly(graphs / "encoder-4x-fp16.onnx", inputs)
    assert cosine(ours[0], theirs(moonvit[0], inputs, rows, columns)) >= 0.9999


@pytest.mark.parametrize("first", [0, TINY.vision_hidden], ids=["queries", "keys"])
def test_queries_and_keys_beyond_the_range_of_fp16_keep_their_attention_in_fp32(
    moonvit: tuple[Kimi_K25VisionModel, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """The others are so small that no score is large. In between they are turned, so the scores have to be told."""
    packed, width = "model.vision_tower.encoder.blocks.1.wqkv", TINY.vision_hidden
    folder = changed_copy(moonvit[1], tmp_path / "large", {f"{packed}.weight": 1e5}, slice(first + 5, first + 9))
    small = {f"{packed}.{part}": 1e-6 for part in ("weight", "bias")}
    folder = changed_copy(folder, tmp_path / "changed", small, slice(width - first, 2 * width - first))
    inputs = view(7, 5)
    found = []
    for case in ("protected", "unprotected"):
        with open_checkpoint(folder) as opened:
            write_graphs(opened, tmp_path / case, modes=["4x"], precisions=["fp32", "fp16"], progress=lambda _: None)
        monkeypatch.setattr(half_precision, "products_near_overflow", lambda *_: frozenset())
        with np.errstate(over="ignore", invalid="ignore"):
            found.append(run_strictly(tmp_path / case / "graphs" / "encoder-4x-fp16.onnx", inputs))
    (expected,) = InferenceSession(tmp_path / "protected" / "graphs" / "encoder-4x-fp32.onnx").run(None, inputs)
    assert cosine(found[0], expected) >= 0.9999
    assert not np.isfinite(found[1]).all()


def test_views_of_other_grids_go_through_together(graphs: Path) -> None:
    session = InferenceSession(graphs / "encoder-4x-fp32.onnx")
    views = [view(3, 8, seed=1), view(8, 3, seed=2), view(1, 24, seed=3)]
    (together,) = session.run(None, {name: np.concatenate([one[name] for one in views]) for name in views[0]})
    for batched, one in zip(together, views, strict=True):
        (alone,) = session.run(None, one)
        np.testing.assert_allclose(batched, alone[0], rtol=0, atol=1e-5)


def test_merged_tokens_turn_by_the_places_of_the_smaller_grid(
    moonvit: tuple[Kimi_K25VisionModel, Path], averaging: Path
) -> None:
    """As in LLaVA-UHD v3, which averages windows within a MoonViT; here between the layers of transformers."""
    rows, columns = 8, 12
    positions = position_ids(rows, columns, VISION, mode="16x")
    at = (positions // PLACES, positions % PLACES)
    patches = view(rows, columns)["patches"]
    inputs = {"patches": patches[:, at[0] * columns + at[1]], "position_ids": positions[None]}
    session = InferenceSession(averaging)
    merged, whole = (
        session.run(None, inputs | {"uncompressed": np.zeros((1, kept), np.int64)})[0][0] for kept in (0, 24)
    )
    tower = moonvit[0]
    expected = averaged(tower, torch.tensor(patches[0]), rows, columns)[at[0][::4] // 2, at[1][::4] // 2]
    assert np.abs(merged - expected).max() <= 1e-4 * expected.std()
    expected = encode(tower, torch.tensor(patches[0]), rows, columns).numpy()[at[0] * columns + at[1]]
    assert np.abs(whole - expected).max() <= 1e-4 * expected.std()


def averaged(tower: Kimi_K25VisionModel, patches: torch.Tensor, rows: int, columns: int) -> NDArray[np.float32]:
    """What is left of a view when windows are averaged after layer `INSERT`: [rows / 2, columns / 2, d]."""
    grid = torch.tensor([[1, rows, columns]])
    with torch.no_grad():
        hidden = tower.patch_embed(patches.reshape(-1, 3, TINY.patch, TINY.patch), grid_thw=grid)
        for index, layer in enumerate(tower.layers):
            turns = tower.rotary_emb(hidden, get_vision_position_ids(grid, spatial_merge_size=1))
            hidden = layer(hidden, cu_seqlens=torch.tensor([0, len(hidden)]), position_embeddings=turns)
            if index == INSERT:
                hidden = hidden.reshape(rows // 2, 2, columns // 2, 2, -1).mean(dim=(1, 3)).flatten(0, 1)
                grid = torch.tensor([[1, rows // 2, columns // 2]])
        features: NDArray[np.float32] = tower.final_layernorm(hidden).unflatten(0, (rows // 2, columns // 2)).numpy()
        return features


def test_the_bundle_says_that_it_is_a_moonvit_and_answers(
    moonvit: tuple[Kimi_K25VisionModel, Path], qwen3_bundle: Bundle, tmp_path: Path
) -> None:
    bundle = export_bundle(moonvit[1], tmp_path / "bundle", precisions=["fp32"], llm=qwen3_bundle.llm_path)
    assert Bundle.open(bundle.path).manifest.vision.backbone == "moonvit"
    with Assistant(bundle, threads=1) as assistant:
        answer = assistant.ask(shapes(365, 211), "What is it?", max_tokens=2)
    assert answer.usage.vision_tokens > 16


def test_a_checkpoint_without_queries_keys_and_values_in_one_is_refused(
    moonvit: tuple[Kimi_K25VisionModel, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(moonvit[1], tmp_path / "checkpoint")
    change_tensors(folder, {"model.vision_tower.encoder.blocks.1.wqkv.weight": None})
    assert "3 missing: model.vision_tower.encoder.layers.1.self_attn.k_proj.weight" in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vision_config__init_pos_emb_width": 8}, "a position table of 9 x 8 is not supported"),
        ({"vision_config__num_attention_heads": 8}, "into heads of a multiple of 4 numbers"),
        ({"vision_config__layer_norm_eps": 1e-6}, "layer_norm_eps"),
        ({"vision_config__model_type": "siglip"}, "53 missing"),
    ],
)
def test_what_the_graphs_cannot_be_is_refused(
    moonvit: tuple[Kimi_K25VisionModel, Path], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    folder = shutil.copytree(moonvit[1], tmp_path / "checkpoint")
    change_json(folder / "config.json", **changes)
    assert said in refusal(folder)
