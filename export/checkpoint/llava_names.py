"""The names of tensors in LLaVA-UHD v4's own code, by which its checkpoints store them.

They are those of `VLU_SmartCPM` in github.com/THUMAI-Lab/LLaVA-UHD-v4 (`train/`): `vpm` is the vision
tower, `vit_merger` the compressor, `resampler` the connector and `llm` the text model.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from uhd_edge.export.checkpoint.tensors import CONNECTOR, HEAD, TEXT, VISION
from uhd_edge.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Collection

COMPRESSOR = "vit_merger."
_PREFIXES = {
    f"{VISION}{COMPRESSOR}": COMPRESSOR,  # before the tower, of which it is a part here
    VISION: "vpm.",
    CONNECTOR: "resampler.",
    TEXT: "llm.model.",
    HEAD: f"llm.{HEAD}",
}
# A round of the connector keeps its linears in a `Sequential`, with the GELU between them.
_LINEARS = {".linear_1.": ".mlp.0.", ".linear_2.": ".mlp.2."}
# What the compressor is made with and never calls: an MLP and the norm before it.
UNUSED = re.compile(r"vit_merger\.(mlp|layer_norm2)\.")


def llava_name(name: str) -> str:
    """Return the stored name of a tensor that is `name` in `MiniCPMV4_6ForConditionalGeneration`."""
    prefix = next(prefix for prefix in _PREFIXES if name.startswith(prefix))
    rest = name.removeprefix(prefix)
    if prefix == CONNECTOR:
        for ours, theirs in _LINEARS.items():
            rest = rest.replace(ours, theirs)
    return _PREFIXES[prefix] + rest


def has_llava_names(names: Collection[str]) -> bool:
    """Whether tensors of these `names` are stored by LLaVA-UHD v4's own code, or by that of an older MiniCPM-V."""
    return all(any(name.startswith(prefix) for name in names) for prefix in ("vpm.", "resampler.", "llm."))


def count_vision_layers(names: Collection[str]) -> int:
    """Count the layers of the vision tower."""
    return len({name.split(".")[3] for name in names if name.startswith("vpm.encoder.layers.")})


def has_compressor(names: Collection[str]) -> bool:
    """Whether there is a compressor within the vision tower."""
    return any(name.startswith(COMPRESSOR) for name in names)


def count_merge_rounds(names: Collection[str], where: str) -> int:
    """Count the connector's rounds; raises `CheckpointError`, naming `where`, for a connector of another kind."""
    rounds = {name.split(".")[2] for name in names if re.match(r"resampler\.mlp\.\d+\.", name)}
    others = sorted(name for name in names if name.startswith("resampler.") and not name.startswith("resampler.mlp."))
    if others or not rounds:
        raise CheckpointError(
            f"{where}: its connector is a resampler with queries ({others[0] if others else 'resampler.'}), as in "
            "MiniCPM-V 2.0 to 4.5; only the merging MLP of LLaVA-UHD v4 (resampler.mlp) is supported"
        )
    return len(rounds)
