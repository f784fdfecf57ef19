"""How much of FP16's range a tower uses, layer by layer."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.checkpoints import TinyCheckpoint, save_checkpoint

from uhd_edge.calibration.fp16_range import LARGEST, LayerRange, layer_ranges
from uhd_edge.cli.main import exit_code
from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.graphs import half_precision
from uhd_edge.export.graphs.graphs import write_graphs
from uhd_edge.export.tower import VisionTower
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Manifest
from uhd_edge.runtime.checking.verify import verify_bundle
from uhd_edge.runtime.errors import EngineUnavailableError, OutputError
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.vision.patches import make_patches, position_ids
from uhd_edge.runtime.vision.slicing import plan_slices, slice_image

FC1 = "model.vision_tower.encoder.layers.1.mlp.fc1.weight"


def photo(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(4).integers(0, 256, (height, width, 3), dtype=np.uint8))


def by_layer(ranges: list[LayerRange]) -> dict[str, LayerRange]:
    return {layer.layer.removeprefix("vision_tower."): layer for layer in ranges}


def planted(bundle: Bundle, target: Path, factor: float) -> tuple[Bundle, Path]:
    """The bundle's files with graphs of a checkpoint in which two channels of one feed-forward are `factor` larger."""
    checkpoint = save_checkpoint(target / "checkpoint", TinyCheckpoint("qwen3"))
    tensors = load_file(checkpoint / "model.safetensors")
    tensors[FC1][5:7] *= factor
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    shutil.copytree(bundle.path, target / "bundle")
    with open_checkpoint(checkpoint) as opened:
        graphs = write_graphs(
            opened, target / "bundle", modes=["16x"], precisions=["fp32", "fp16"], progress=lambda _: None
        )
    return Bundle(target / "bundle", bundle.manifest.model_copy(update={"graphs": graphs})), checkpoint


def test_the_largest_number_of_a_layer_is_that_of_the_torch_tower(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    bundle, checkpoint = planted(qwen3_bundle, tmp_path, 300.0)
    image = photo(90, 120)
    ranges = by_layer(layer_ranges(bundle, [image], mode="16x", max_slices=1, threads=1))
    preprocessing, vision = bundle.manifest.preprocessing, bundle.manifest.vision
    (view,) = slice_image(image, plan_slices(*image.size, preprocessing, mode="16x", max_slices=1)).views
    largest: list[float] = []
    with open_checkpoint(checkpoint) as opened, torch.no_grad():
        tower = VisionTower(opened.config.tower).eval()
        for name, parameter in tower.named_parameters():
            parameter.copy_(torch.from_numpy(opened.tensor(f"model.vision_tower.{name}")).reshape(parameter.shape))
        module = dict(tower.named_modules())["encoder.layers.1.mlp.fc1"]
        module.register_forward_hook(lambda _, __, output: largest.append(float(output.abs().max())))
        patches = torch.tensor(make_patches(view, preprocessing, vision, mode="16x")[None])
        positions = torch.tensor(position_ids(view.rows, view.columns, vision, mode="16x")[None])
        tower.encode(patches, positions, compress=True)
    layer = ranges["encoder.layers.1"]
    assert layer.operator in ("mlp.fc1/Add", "mlp.fc1/MatMul", "mlp/Gelu")
    assert layer.half == pytest.approx(largest[0], rel=0.02)
    assert layer.headroom == pytest.approx(LARGEST / layer.half)
    assert layer.half > 10 * ranges["encoder.layers.0"].half


def test_every_layer_is_reported_and_the_bundle_is_left_as_it_was(qwen3_bundle: Bundle) -> None:
    before = sorted(path.name for path in (qwen3_bundle.path / "graphs").iterdir())
    ranges = by_layer(layer_ranges(qwen3_bundle, [photo(90, 90)], mode="4x", max_slices=1, threads=1))
    layers = [f"encoder.layers.{index}" for index in range(qwen3_bundle.manifest.vision.layers)]
    assert set(ranges) == {"embeddings", *layers, "post_layernorm", "merger.mlp.0"}
    assert all(layer.half < LARGEST for layer in ranges.values())
    assert sorted(path.name for path in (qwen3_bundle.path / "graphs").iterdir()) == before


def test_planted_outliers_overflow_fp16_where_they_are_and_verify_fails_without_protection(
    qwen3_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(half_precision, "products_near_overflow", lambda *_: frozenset())
    bundle, _ = planted(qwen3_bundle, tmp_path, 1e5)
    ranges = by_layer(layer_ranges(bundle, [photo(90, 90)], mode="16x", max_slices=1, threads=1))
    assert [name for name, layer in ranges.items() if layer.headroom < 1] == ["encoder.layers.1"]


def test_planted_outliers_stay_fp32_and_verify_passes(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    bundle, _ = planted(qwen3_bundle, tmp_path, 1e5)
    ranges = by_layer(layer_ranges(bundle, [photo(90, 90)], mode="16x", max_slices=1, threads=1))
    assert ranges["encoder.layers.1"].full > LARGEST
    assert all(layer.headroom > 2 for layer in ranges.values())
    report = verify_bundle(bundle, precision="fp16", images=[photo(90, 90)], modes=["16x"], question=None, threads=1)
    assert report.passed


def test_the_command_line_shows_the_ranges(
    qwen3_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo(90, 90).save(tmp_path / "photo.png")
    modes: list[Mode] = ["16x", "4x"]
    expected = [
        layer
        for mode in modes
        for layer in layer_ranges(qwen3_bundle, [photo(90, 90)], mode=mode, max_slices=None, threads=1)
    ]
    command = ["verify", str(qwen3_bundle.path), str(tmp_path / "photo.png"), "--no-answers", "--ranges"]
    assert exit_code([*command, "--threads", "1", "--precision", "fp16"]) == 0
    printed = capsys.readouterr().out
    assert "largest in FP16" in printed
    assert "vision_tower.encoder.layers.0" in printed
    rows = [line.split()[:3] for line in printed.splitlines()]
    for layer in expected:
        assert [layer.mode, layer.layer, f"{layer.half:.4g}" if layer.operator else "none"] in rows
    assert exit_code([*command, "--threads", "1", "--mode", "16x", "--json"]) == 0
    (first, *others) = json.loads(capsys.readouterr().out)["ranges"]
    assert [first, *others] == [asdict(layer) for layer in expected if layer.mode == "16x"]
    assert first["layer"] == "vision_tower.embeddings"
    assert 0 < first["half"] < LARGEST


def test_without_onnx_the_extra_that_brings_it_is_named(
    qwen3_bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "uhd_edge.calibration.fp16_range")
    command = ["verify", str(qwen3_bundle.path), "--mode", "16x", "--no-answers", "--ranges", "--threads", "1"]
    assert exit_code(command) == 1
    assert "--ranges needs onnx: pip install 'uhd-edge[export]'" in capsys.readouterr().err


def test_a_bundle_without_fp16_graphs_and_a_folder_that_cannot_be_written_are_told(
    qwen3_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = qwen3_bundle.manifest.model_dump()
    manifest["graphs"] = {"16x": {"fp32": manifest["graphs"]["16x"]["fp32"]}}
    exact = Bundle(qwen3_bundle.path, Manifest.model_validate(manifest))
    with pytest.raises(EngineUnavailableError, match="no 16x graphs in fp16"):
        layer_ranges(exact, [photo(20, 20)], mode="16x", max_slices=1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("uhd_edge.calibration.fp16_range.onnx.save", full)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"):
        layer_ranges(qwen3_bundle, [photo(20, 20)], mode="16x", max_slices=1)
