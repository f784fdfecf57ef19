"""Encoder and connector graphs equal transformers' vision tower and merger, view by view."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file
from support.checkpoints import TinyCheckpoint, load_model, save_checkpoint, spread_weights
from transformers import AutoConfig, MiniCPMV4_6ForConditionalGeneration, MiniCPMV4_6ImageProcessorPil

from uhd_edge.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from uhd_edge.export.connectors import Connector
from uhd_edge.export.graphs.graphs import write_graphs
from uhd_edge.export.tower import VisionTower
from uhd_edge.runtime.bundles.manifest import Vision
from uhd_edge.runtime.modes import Mode, Precision
from uhd_edge.runtime.vision.patches import encoder_inputs, make_patches, position_ids
from uhd_edge.runtime.vision.slicing import View

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from uhd_edge.export.checkpoint.config import ModelConfig
    from uhd_edge.export.checkpoint.processor import ProcessorConfig

MODES: tuple[Mode, ...] = ("16x", "4x")

# Grids in units of the mode's block: the thumbnail, then none to nine slices.
GRIDS = (
    [(3, 2)],
    [(2, 3), (1, 4), (1, 4)],
    [(2, 2), *[(3, 1)] * 6],
    [(1, 1), *[(2, 3)] * 9],
)


@dataclass(frozen=True)
class Case:
    """A checkpoint whose sizes differ from the real one's in every way that could be mixed up."""

    tiny: TinyCheckpoint
    merge_rounds: int = 1


CASES = {
    "heads of 18, compressor after the first layer": Case(
        TinyCheckpoint(vision_hidden=36, vision_heads=2, vision_intermediate=70, insert_layer=0, table_side=16)
    ),
    "heads of 20, compressor after the last layer": Case(
        TinyCheckpoint(
            seed=1,
            vision_hidden=60,
            vision_heads=3,
            vision_intermediate=52,
            vision_layers=4,
            insert_layer=3,
            table_side=27,
        )
    ),
    "patches of 8, hybrid text": Case(
        TinyCheckpoint(
            "qwen3_5_text", seed=2, vision_hidden=40, vision_heads=5, insert_layer=1, patch=8, text_hidden=32
        )
    ),
    "a connector of two rounds": Case(
        TinyCheckpoint(seed=3, vision_hidden=24, vision_heads=2, table_side=9), merge_rounds=2
    ),
}


@dataclass(frozen=True)
class InMemory:
    """The weights of a model that no checkpoint may hold, because bundles of it would not work, but graphs would."""

    config: ModelConfig
    processor: ProcessorConfig
    weights: dict[str, np.ndarray]

    def tensor(self, name: str) -> np.ndarray:
        return self.weights[name]


@dataclass(frozen=True)
class Exported:
    """A checkpoint, the model that transformers makes of it, and where its graphs lie."""

    checkpoint: Checkpoint | InMemory
    model: MiniCPMV4_6ForConditionalGeneration
    graphs: Path
    vision: Vision

    def block(self, mode: Mode) -> int:
        return int(2**self.vision.merge_rounds * (2 if mode == "16x" else 1))


def saved_with_more_rounds(folder: Path, case: Case) -> Path:
    config = AutoConfig.from_pretrained(folder)
    config.merger_times = case.merge_rounds
    model = MiniCPMV4_6ForConditionalGeneration(config)
    spread_weights(model, case.tiny.seed)
    model.save_pretrained(folder / "more rounds")
    return folder / "more rounds"


def with_more_rounds(checkpoint: Checkpoint, folder: Path, case: Case) -> InMemory:
    config = replace(checkpoint.config, tower=replace(checkpoint.config.tower, merge_rounds=case.merge_rounds))
    return InMemory(config, checkpoint.processor, load_file(folder / "model.safetensors"))


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    case: Case = request.param
    folder = save_checkpoint(tmp_path_factory.mktemp("checkpoint"), case.tiny)
    target = tmp_path_factory.mktemp("graphs")
    opened = open_checkpoint(folder)
    checkpoint: Checkpoint | InMemory = opened
    if case.merge_rounds > 1:
        folder = saved_with_more_rounds(folder, case)
        checkpoint = with_more_rounds(opened, folder, case)
    write_graphs(checkpoint, target, modes=MODES, precisions=["fp32", "fp16"], progress=lambda _: None)
    tower = checkpoint.config.tower
    vision = Vision(
        hidden_size=tower.hidden,
        layers=tower.layers,
        insert_layer=tower.insert_layer,
        table_side=tower.table_side,
        window=2,
        merge=2,
        merge_rounds=tower.merge_rounds,
    )
    return Exported(checkpoint, load_model(folder), target / "graphs", vision)


def views_of(exported: Exported, grids: list[tuple[int, int]], mode: Mode) -> list[View]:
    """Noise over slopes, so that no two patches are alike."""
    block, side = exported.block(mode), exported.checkpoint.config.tower.patch
    random = np.random.default_rng(len(grids))
    views = []
    for height, width in grids:
        rows, columns = height * block, width * block
        slope = np.linspace(0, 200, rows * side)[:, None, None] * np.linspace(0, 1, columns * side)[:, None]
        pixels = slope + random.integers(0, 56, (rows * side, columns * side, 3))
        views.append(View(pixels.astype(np.uint8), rows, columns))
    return views


def inputs_of(exported: Exported, view: View, mode: Mode) -> dict[str, NDArray[np.generic]]:
    vision = exported.vision
    patches = make_patches(view, exported.checkpoint.processor.preprocessing, vision, mode=mode)[None]
    positions = position_ids(view.rows, view.columns, vision, mode=mode)[None]
    return encoder_inputs(patches, positions, vision, mode=mode, both_modes=True)


def session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options)


def embeddings_of(exported: Exported, views: list[View], mode: Mode, precision: Precision) -> list[NDArray[np.float32]]:
    encoder = session(exported.graphs / f"encoder-{precision}.onnx")
    connector = session(exported.graphs / f"connector-{precision}.onnx")
    features = (encoder.run(None, inputs_of(exported, view, mode))[0] for view in views)
    return [connector.run(None, {"features": array})[0][0] for array in features]


def reference_of(exported: Exported, views: list[View], mode: Mode) -> list[NDArray[np.float32]]:
    processor = MiniCPMV4_6ImageProcessorPil()
    side = exported.checkpoint.config.tower.patch
    pixels = [(view.pixels.transpose(2, 0, 1) / 255 - 0.5) / 0.5 for view in views]
    packed = np.concatenate([processor.reshape_by_patch(image, side) for image in pixels], axis=-1)[None]
    sizes = torch.tensor([[view.rows, view.columns] for view in views])
    with torch.no_grad():
        seen = exported.model.get_image_features(torch.tensor(packed).float(), sizes, downsample_mode=mode)
    return [view.numpy() for view in seen.pooler_output]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("grids", GRIDS, ids=lambda grids: f"{len(grids)} views")
def test_fp32_embeddings_differ_from_transformers_by_a_ten_thousandth_at_most(
    exported: Exported, grids: list[tuple[int, int]], mode: Mode
) -> None:
    views = views_of(exported, grids, mode)
    for ours, theirs in zip(
        embeddings_of(exported, views, mode, "fp32"), reference_of(exported, views, mode), strict=True
    ):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= 1e-4 * theirs.std()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("grids", GRIDS[::2], ids=lambda grids: f"{len(grids)} views")
def test_fp16_embeddings_point_where_those_of_transformers_do(
    exported: Exported, grids: list[tuple[int, int]], mode: Mode
) -> None:
    views = views_of(exported, grids, mode)
    for ours, theirs in zip(
        embeddings_of(exported, views, mode, "fp16"), reference_of(exported, views, mode), strict=True
    ):
        assert (ours * theirs).sum() >= 0.9999 * np.linalg.norm(ours) * np.linalg.norm(theirs)


@pytest.mark.parametrize("mode", MODES)
def test_the_torch_modules_compute_what_transformers_computes(exported: Exported, mode: Mode) -> None:
    config = exported.checkpoint.config.tower
    tower, connector = VisionTower(config).eval(), Connector(config).eval()
    for module, prefix in ((tower, "model.vision_tower."), (connector, "model.merger.")):
        shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
        module.load_state_dict(
            {
                name: torch.from_numpy(exported.checkpoint.tensor(prefix + name)).reshape(shape)
                for name, shape in shapes.items()
            }
        )
    views = views_of(exported, GRIDS[1], mode)
    for view, theirs in zip(views, reference_of(exported, views, mode), strict=True):
        inputs = inputs_of(exported, view, mode)
        with torch.no_grad():
            features = tower.encode(
                torch.tensor(inputs["patches"]), torch.tensor(inputs["position_ids"]), compress=mode == "16x"
            )
            ours = connector(features)[0].numpy()
        assert np.abs(ours - theirs).max() <= 1e-4 * theirs.std()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("mode", MODES)
def test_a_batch_of_views_equals_the_views_one_by_one(exported: Exported, mode: Mode, precision: Precision) -> None:
    views = views_of(exported, [(2, 3), (3, 2), (1, 6)], mode)  # other grids, as many patches
    encoder = session(exported.graphs / f"encoder-{precision}.onnx")
    alone = [inputs_of(exported, view, mode) for view in views]
    together = {name: np.concatenate([inputs[name] for inputs in alone]) for name in alone[0]}
    (batch,) = encoder.run(None, together)
    for features, inputs in zip(batch, alone, strict=True):
        (single,) = encoder.run(None, inputs)
        assert np.abs(features - single[0]).max() <= {"fp32": 1e-5, "fp16": 2e-3}[precision] * single.std()
