"""Makes the files for `encoding.py` from one set of weights: a checkpoint, a bundle, and llama.cpp's mmproj.

Without a checkpoint, the weights are random. The vision tower then has MiniCPM-V 4.6's sizes. The
language model has two small layers; it is opened, but never run.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import onnx_ir as ir
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import GraphKind

ROOT = Path(__file__).resolve().parents[2]
SIDES = {"one view": 448, "ten views": 1344}
KINDS: tuple[GraphKind, ...] = ("fp32", "int8", "int8-tensorrt")
MERGER, LAYERS = "vision_tower.vit_merger", "vision_tower.encoder.layers."


@dataclass(frozen=True)
class Weights:
    """The folder with the files. They are made once and kept."""

    folder: Path
    checkpoint: Path

    @property
    def bundle(self) -> Path:
        """The bundle: FP32, FP16 and INT8 graphs, and those with the compressor after the last layer."""
        return self.folder / "bundle"

    def mmproj(self, kind: str) -> Path:
        """The file of llama.cpp's vision tower in `f16` or `q8_0`."""
        return self.folder / f"mmproj-{kind}.gguf"

    def picture(self, name: str) -> Path:
        """The file of the picture `name`, one of `SIDES`."""
        return self.folder / f"{name.replace(' ', '-')}.png"


def prepare(folder: Path, checkpoint: Path | None) -> Weights:
    """Make the files that are not there yet."""
    weights = Weights(folder, checkpoint or folder / "checkpoint")
    folder.mkdir(parents=True, exist_ok=True)
    if not weights.checkpoint.exists():
        make_checkpoint(weights.checkpoint)
    for name, side in SIDES.items():
        if not weights.picture(name).exists():
            draw(weights.picture(name), side, seed=side)
    if not weights.bundle.exists():
        make_bundle(weights)
    for kind in ("f16", "q8_0"):
        if not weights.mmproj(kind).exists():
            make_mmproj(weights.checkpoint, weights.mmproj(kind), kind)
    return weights


def draw(file: Path, side: int, seed: int) -> None:
    """Draw coloured clouds. The number of clouds in a view does not depend on the size."""
    cells = side * 12 // 448
    coarse = np.random.default_rng(seed).integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(file)


def make_checkpoint(folder: Path) -> None:
    """Write a checkpoint of random BF16 weights, as transformers would."""
    print("making a checkpoint of random weights", flush=True)
    sys.path.insert(0, str(ROOT / "tests"))
    import torch
    from support.checkpoints import TinyCheckpoint, save_checkpoint

    sizes = TinyCheckpoint(
        vision_hidden=1152,
        vision_intermediate=4304,
        vision_layers=27,
        vision_heads=16,
        insert_layer=6,
        text_hidden=1024,
        text_intermediate=512,
        text_layers=2,
        scale_resolution=448,
        dtype=torch.bfloat16,
    )
    save_checkpoint(folder, sizes)


def make_bundle(weights: Weights) -> None:
    """Export a bundle, calibrate INT8 on four drawn pictures, and write the post-ViT graphs."""
    from uhd_edge.calibration.calibrate import calibrate_bundle
    from uhd_edge.cli.progress import shown_time_left
    from uhd_edge.export.export import export_bundle

    print("exporting", flush=True)
    bundle = export_bundle(weights.checkpoint, weights.bundle, modes=["16x"], llm_type="f16")
    with shown_time_left() as progress:
        bundle = calibrate_bundle(bundle, [make_pictures(weights.folder)], progress=progress).bundle
    add_post_vit(bundle, KINDS)


def make_pictures(folder: Path) -> Path:
    """Draw four pictures to calibrate on; returns their folder."""
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    for seed in range(4):
        draw(pictures / f"{seed}.png", SIDES["one view"], seed)
    return pictures


def make_mmproj(checkpoint: Path, file: Path, kind: str) -> None:
    """Convert the vision tower with llama.cpp's own converter."""
    from uhd_edge.export.language_model.converter import converter_folder

    print(f"converting to mmproj {kind}", flush=True)
    converter = converter_folder()
    command = [sys.executable, str(converter / "convert_hf_to_gguf.py"), "--mmproj", "--outtype", kind]
    command += ["--outfile", str(file), str(checkpoint)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"llama.cpp's converter failed: {done.stderr.strip().splitlines()[-1]}")


def post_vit_name(kind: str) -> str:
    """The file, within the bundle, of a graph that `add_post_vit` writes."""
    return f"graphs/encoder-post-vit-{kind}.onnx"


def add_post_vit(bundle: Bundle, kinds: Sequence[GraphKind]) -> None:
    """Write copies of the 16x encoders that have the compressor after the last layer, with the same weights.

    All layers then see every patch. This is the paper's baseline, compression after the tower, with
    one difference: the paper's baseline merges in another way. Here it is the same compressor, so
    that only its place differs.
    """
    for kind in kinds:
        file, _ = bundle.graphs("16x", kind)
        model = ir.load(file)
        move_compressor(model.graph)
        ir.save(model, bundle.path / post_vit_name(kind))


def move_compressor(graph: ir.Graph) -> None:
    """Move the compressor to the end: the next layer reads its input instead, and it reads the last layer's output."""
    inside = {node for node in graph if str(node.name).startswith(MERGER)}
    made = {value for node in inside for value in node.outputs}
    entering = {value for node in inside for value in node.inputs if value is not None and value.producer() is not None}
    (before,) = {value for value in entering - made if str(value.name).startswith(LAYERS)}
    (after,) = {value for value in made if any(user not in inside for user in value.consumers())}
    last = cast(
        "ir.Value",
        next(node for node in graph if node.name == "vision_tower.post_layernorm/LayerNormalization").inputs[0],
    )
    readers = [(node, index) for node, index in last.uses() if node not in inside]
    for node, index in list(after.uses()):
        if node not in inside:
            node.replace_input_with(index, before)
    for node, index in list(before.uses()):
        if node in inside:
            node.replace_input_with(index, last)
    for node, index in readers:
        node.replace_input_with(index, after)
    graph.sort()
