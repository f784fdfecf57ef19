"""A tower with outlier channels: naive INT8 fails `verify` on it, calibrated INT8 passes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from support.int8 import KINDS, MODES, copy_of, cosines, draw_pictures

from uhd_edge.calibration import flavours
from uhd_edge.calibration.calibrate import Calibrated, calibrate_bundle
from uhd_edge.calibration.prepared import Prepared
from uhd_edge.calibration.ranges.plan import Flavour, QuantizationPlan
from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Threshold
from uhd_edge.runtime.checking.verify import verify_bundle
from uhd_edge.runtime.vision.encoder import VisionEncoder

if TYPE_CHECKING:
    import torch


def plant(tensors: dict[str, torch.Tensor], norm: str, linears: list[str], channels: list[int]) -> None:
    """Make some channels of a LayerNorm's output 30 times as large, and take it back in the linears' weights."""
    for channel in channels:
        tensors[f"{norm}.weight"][channel] *= 30
        tensors[f"{norm}.bias"][channel] *= 30
        for linear in linears:
            tensors[f"{linear}.weight"][:, channel] /= 30


@pytest.fixture(scope="module")
def outlier_bundle(qwen3_checkpoint: Path, qwen3_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("outliers")
    checkpoint = Path(shutil.copytree(qwen3_checkpoint, folder / "checkpoint"))
    tensors = load_file(checkpoint / "model.safetensors")
    for layer, channels in ((0, [3]), (1, [5, 40]), (2, [17])):
        scope = f"model.vision_tower.encoder.layers.{layer}"
        projections = [f"{scope}.self_attn.{name}_proj" for name in "qkv"]
        plant(tensors, f"{scope}.layer_norm1", projections, channels)
        plant(tensors, f"{scope}.layer_norm2", [f"{scope}.mlp.fc1"], channels)
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    return export_bundle(checkpoint, folder / "bundle", llm=qwen3_bundle.llm_path)


@pytest.fixture(scope="module")
def ours(outlier_bundle: Bundle, calibration_pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Calibrated:
    folder = tmp_path_factory.mktemp("ours") / "bundle"
    return calibrate_bundle(copy_of(outlier_bundle, folder), [calibration_pictures], threads=1)


def test_planted_outliers_break_naive_int8_and_not_ours(
    outlier_bundle: Bundle, qwen3_bundle: Bundle, ours: Calibrated, calibration_pictures: Path, tmp_path: Path
) -> None:
    with VisionEncoder(outlier_bundle) as planted, VisionEncoder(qwen3_bundle) as plain:
        one, other = (encoder.encode(calibration_pictures / "0.png").embeddings for encoder in (planted, plain))
    np.testing.assert_allclose(one, other, atol=2e-4)  # the outliers change nothing in FP32
    for kind in KINDS:
        naive, plain_connector, smoothed, *_, last = ours.report.flavours[kind].steps
        assert naive.agreement.lowest_cosine < 0.999
        assert smoothed.agreement.lowest_cosine > plain_connector.agreement.lowest_cosine
        assert last.agreement.reaches(ours.report.threshold)
    for mode in MODES:
        assert min(cosines(ours.bundle, draw_pictures(tmp_path / "others", 4, seed=3), mode)) >= 0.999


def test_verify_refuses_naive_int8_with_outliers_and_trusts_ours(
    outlier_bundle: Bundle,
    ours: Calibrated,
    calibration_pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = [calibration_pictures / "0.png", calibration_pictures / "1.png"]

    def unchanged(prepared: Prepared, plan: QuantizationPlan, flavour: Flavour) -> QuantizationPlan:
        return plan

    monkeypatch.setattr(Prepared, "goal", lambda _self, _flavour: Threshold(cosine=0, token_cosine=0))
    for step in ("_smoothed", "_ranged"):
        monkeypatch.setattr(flavours, step, unchanged)
    monkeypatch.setattr(Prepared, "connector", [])
    naive = calibrate_bundle(copy_of(outlier_bundle, tmp_path / "naive"), [calibration_pictures], threads=1).bundle
    for bundle, passed in ((ours.bundle, True), (naive, False)):
        report = verify_bundle(bundle, engine="onnxruntime", precision="int8", images=shown, question=None, threads=1)
        assert report.passed == passed, report.failures
