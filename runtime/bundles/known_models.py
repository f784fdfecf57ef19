"""The models that `uhd pull` knows by name: where their files are on the Hub.

Repositories and file names of MiniCPM-V 4.6: github.com/OpenBMB/MiniCPM-V (README) and
github.com/OpenSQZ/MiniCPM-V-CookBook (deployment/llama.cpp). MiniCPM-V 4.7 1B and
LLaVA-UHD-v4-8M: their pages on huggingface.co. The sizes to download are rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class KnownModel:
    """A model by its name in this program.

    `checkpoint` and `gguf` are repositories on the Hub, `gguf` that of the official language model.
    `gigabytes` is about what has to be downloaded.
    """

    name: str
    checkpoint: str
    gguf: str | None
    gigabytes: float


_MODELS = (
    # The GGUF is MiniCPM-V-4_6-Q4_K_M.gguf, 0.5 GB, beside other types and mmproj-model-f16.gguf.
    KnownModel("minicpm-v-4.6", "openbmb/MiniCPM-V-4.6", "openbmb/MiniCPM-V-4.6-gguf", 3.1),
    # MiniCPM-V-4_6-Thinking-Q4_K_M.gguf; checkpoint and sizes are those of 4.6.
    KnownModel("minicpm-v-4.6-thinking", "openbmb/MiniCPM-V-4.6-Thinking", "openbmb/MiniCPM-V-4.6-Thinking-gguf", 3.1),
    KnownModel("minicpm-v-4.7-1b", "openbmb/MiniCPM-V-4.7-1B", None, 3.1),
    KnownModel("llava-uhd-v4-8m", "PhoenixGS/LLaVA-UHD-v4-8M", None, 17.3),
    # The same without a compressor, for comparison.
    KnownModel("llava-uhd-v4-8m-baseline", "PhoenixGS/LLaVA-UHD-v4-8M-Baseline", None, 17.3),
)

KNOWN_MODELS: Final[Mapping[str, KnownModel]] = MappingProxyType({model.name: model for model in _MODELS})
