"""The sizes of the real model, and the operations that LLaVA-UHD v4 (arXiv 2605.08985) prints, in 10^9."""

from __future__ import annotations

from dataclasses import replace

from uhd_edge.runtime.bundles.model_sizes import MINICPM_V_4_6, ModelSizes

PAPER_PATCHES = 2448
TABLE_5 = {3: 1245.1, 6: 1573.1, 9: 1901.1, 15: 2557.0}
POST_VIT_BASELINE = 3555.1

TABLE_A3 = {
    "average-pool": 1368.7,
    "pixel-unshuffle": 1401.2,
    "reused-mlp": 1490.2,
    "cross-top-left": 1402.0,
    "cross-mean": 1402.0,
    "window-mlp": 1484.1,
    "window-reuse": 1573.1,
    "post-vit": 3555.1,
}


def inserted_after(layer: int) -> ModelSizes:
    vision = MINICPM_V_4_6.vision.model_copy(update={"insert_layer": layer})
    return replace(MINICPM_V_4_6, vision=vision)
