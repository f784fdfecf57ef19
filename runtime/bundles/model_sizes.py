"""The sizes of a vision model, and those of published ones: all that counting its work needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from uhd_edge.runtime.bundles.manifest import Preprocessing, Vision

CHANNELS = 3


@dataclass(frozen=True)
class ModelSizes:
    """A vision tower with compressor and connector, and how images are cut for it.

    `mlp_width` is the width between the two linears of a layer's MLP, `llm_width` that of
    an embedding for the language model.
    """

    name: str
    vision: Vision
    preprocessing: Preprocessing
    mlp_width: int
    llm_width: int

    @property
    def patch_values(self) -> int:
        """Numbers in one flattened patch."""
        return CHANNELS * self.preprocessing.patch_size**2


# The published configuration of openbmb/MiniCPM-V-4.6.
MINICPM_V_4_6: Final = ModelSizes(
    name="minicpm-v-4.6",
    vision=Vision(
        hidden_size=1152,
        intermediate_size=4304,
        layers=27,
        insert_layer=6,
        table_side=70,
        window=2,
        merge=2,
        merge_rounds=1,
    ),
    preprocessing=Preprocessing(
        scale_resolution=448,
        max_slices=9,
        patch_size=14,
        slicing=True,
        rescale_factor=1 / 255,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        resample=3,
    ),
    mlp_width=4304,
    llm_width=1024,
)

# Of PhoenixGS/LLaVA-UHD-v4-8M and its baseline: the same tower, and Qwen3-8B behind it.
LLAVA_UHD_V4_8M: Final = replace(MINICPM_V_4_6, name="llava-uhd-v4-8m", llm_width=4096)
LLAVA_UHD_V4_8M_BASELINE: Final = replace(
    LLAVA_UHD_V4_8M,
    name="llava-uhd-v4-8m-baseline",
    vision=MINICPM_V_4_6.vision.model_copy(update={"insert_layer": 26, "window": 1, "merge_rounds": 2}),
)
