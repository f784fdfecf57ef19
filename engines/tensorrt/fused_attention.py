"""How many attentions of an engine run as one kernel each, read from what TensorRT tells of its layers.

An attention is a product, a softmax and a product. TensorRT fuses the three into one kernel called
`_gemm_mha_v2` if the compute capability is 7.5 or later, the products are FP16, and a head has 16 to
256 numbers, a multiple of 8 (TensorRT's developer guide, "MHA fusion"); where it does not, the scores of
all pairs of patches go through the GPU's memory.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

# `_gemm_mha_v2`, `_gemv_mha_v1`, and those of earlier versions, `fmha_v2..`.
FUSED_KERNEL = "mha"
# An engine with several profiles lists the layers of each; those after the first have this behind their names.
_PROFILE = re.compile(r"\[profile (\d+)\]")


@dataclass(frozen=True)
class FusedAttention:
    """How many of the `attentions` of a graph an engine runs as one kernel each."""

    fused: int
    attentions: int

    def __str__(self) -> str:
        return f"{self.fused or 'none'} of {self.attentions} attentions fused"


def count_fused(information: str) -> int | None:
    """Count the fused attentions in the JSON of TensorRT's engine inspector.

    With several profiles, the count of the profile where it is lowest. None if the text names no layers, as for
    an engine that was built without them.
    """
    try:
        layers = json.loads(information)["Layers"]
    except (ValueError, KeyError, TypeError):
        return None
    names = [_name(layer) for layer in layers]
    profiles = Counter({_profile(name): 0 for name in names})
    profiles.update(_profile(name) for name in names if FUSED_KERNEL in name)
    return min(profiles.values(), default=None)


def _name(layer: Any) -> str:
    """Name and kernel of a layer, which is a name alone in an engine that was built without details."""
    return f"{layer.get('Name', '')} {layer.get('TacticName', '')}" if isinstance(layer, dict) else str(layer)


def _profile(name: str) -> int:
    found = _PROFILE.search(name)
    return int(found[1]) if found else 0
