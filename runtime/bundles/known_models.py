"""The models that every command knows by name: where their files are on the Hub, and the sizes of their vision.

Repositories and file names of MiniCPM-V 4.6: github.com/OpenBMB/MiniCPM-V (README) and
github.com/OpenSQZ/MiniCPM-V-CookBook (deployment/llama.cpp). MiniCPM-V 4.7 1B and
LLaVA-UHD-v4-8M: their pages on huggingface.co. What there is to download is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from uhd_edge.runtime.bundles.model_sizes import (
    LLAVA_UHD_V4_8M,
    LLAVA_UHD_V4_8M_BASELINE,
    MINICPM_V_4_6,
    ModelSizes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class KnownModel:
    """A model by its name in this program.

    `checkpoint` and `gguf` are repositories on the Hub, `gguf` that of the official language model.
    `gigabytes` is about what has to be downloaded. `sizes` are those of its vision model, under this name.
    """

    name: str
    checkpoint: str
    gguf: str | None
    gigabytes: float
    sizes: ModelSizes


_MODELS = (
    # The GGUF is MiniCPM-V-4_6-Q4_K_M.gguf, 0.5 GB, beside other types and mmproj-model-f16.gguf.
    KnownModel("minicpm-v-4.6", "openbmb/MiniCPM-V-4.6", "openbmb/MiniCPM-V-4.6-gguf", 3.1, MINICPM_V_4_6),
    # MiniCPM-V-4_6-Thinking-Q4_K_M.gguf; checkpoint and sizes are those of 4.6.
    KnownModel(
        "minicpm-v-4.6-thinking",
        "openbmb/MiniCPM-V-4.6-Thinking",
        "openbmb/MiniCPM-V-4.6-Thinking-gguf",
        3.1,
        MINICPM_V_4_6,
    ),
    # Vision tower, compressor and connector, and the width of the language model, are those of 4.6.
    KnownModel("minicpm-v-4.7-1b", "openbmb/MiniCPM-V-4.7-1B", None, 3.1, MINICPM_V_4_6),
    KnownModel("llava-uhd-v4-8m", "PhoenixGS/LLaVA-UHD-v4-8M", None, 17.3, LLAVA_UHD_V4_8M),
    # The same without a compressor, for comparison.
    KnownModel("llava-uhd-v4-8m-baseline", "PhoenixGS/LLaVA-UHD-v4-8M-Baseline", None, 17.3, LLAVA_UHD_V4_8M_BASELINE),
)

KNOWN_MODELS: Final[Mapping[str, KnownModel]] = MappingProxyType(
    {model.name: replace(model, sizes=replace(model.sizes, name=model.name)) for model in _MODELS}
)


def find_known(text: str) -> KnownModel | None:
    """Find the known model of this name, or whose checkpoint or GGUF is this repository on the Hub, in any case."""
    wanted = text.rstrip("/").lower()
    for model in KNOWN_MODELS.values():
        if wanted in {place.lower() for place in (model.name, model.checkpoint, model.gguf) if place is not None}:
            return model
    return None
