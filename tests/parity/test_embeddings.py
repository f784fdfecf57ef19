"""From a picture to embeddings: the runtime on an exported bundle against transformers on its checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from support.checkpoints import load_model
from support.preprocessing_reference import MODES
from transformers import MiniCPMV4_6ImageProcessorPil

from uhd_edge.runtime.vision.encoder import VisionEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

SIZES = [(365, 211), (153, 174), (60, 300), (50, 40)]


@pytest.mark.parametrize("mode", MODES)
def test_embeddings_equal_those_of_transformers(qwen3_checkpoint: Path, qwen3_bundle: Bundle, mode: Mode) -> None:
    model = load_model(qwen3_checkpoint)
    processor = MiniCPMV4_6ImageProcessorPil.from_pretrained(qwen3_checkpoint)
    with VisionEncoder(qwen3_bundle, mode=mode, precision="fp32", threads=1) as encoder:
        for width, height in SIZES:
            pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
            prepared = processor(Image.fromarray(pixels), return_tensors="pt", downsample_mode=mode)
            with torch.no_grad():
                features = model.model.get_image_features(
                    prepared["pixel_values"], prepared["target_sizes"], downsample_mode=mode
                )
            expected = [view.numpy() for view in features.pooler_output]
            seen = encoder.encode(pixels)
            assert [view.tokens for view in seen.views] == [len(view) for view in expected]
            ends = np.cumsum([view.tokens for view in seen.views])
            for ours, theirs in zip(np.split(seen.embeddings, ends[:-1]), expected, strict=True):
                assert ours.shape == theirs.shape
                assert np.abs(ours - theirs).max() <= 1e-4 * theirs.std(), (width, height)
