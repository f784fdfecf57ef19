"""The names of a MoonViT's tensors in Moonshot's own code, by which its checkpoints store them.

They are those of `MoonVitPretrainedModel` (moonshotai/MoonViT-SO-400M, and the vision tower of Kimi-VL).
One matrix there holds queries, keys and values; the position table has three axes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from uhd_edge.export.checkpoint.tensors import VISION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from uhd_edge.export.checkpoint.weights import StoredTensor, TensorFile

PROJECTIONS = ("q_proj", "k_proj", "v_proj")
_TOWER = re.escape(VISION)
_PACKED = re.compile(rf"({_TOWER})encoder\.blocks\.(\d+)\.wqkv\.(weight|bias)$")
# What stands before the last part of a name; the layers' own parts come first.
_RENAMED = {
    rf"{_TOWER}encoder\.blocks\.(\d+)\.norm0\.": rf"{VISION}encoder.layers.\1.layer_norm1.",
    rf"{_TOWER}encoder\.blocks\.(\d+)\.norm1\.": rf"{VISION}encoder.layers.\1.layer_norm2.",
    rf"{_TOWER}encoder\.blocks\.(\d+)\.wo\.": rf"{VISION}encoder.layers.\1.self_attn.out_proj.",
    rf"{_TOWER}encoder\.blocks\.(\d+)\.mlp\.fc1\.": rf"{VISION}encoder.layers.\1.mlp.fc2.",
    rf"{_TOWER}encoder\.blocks\.(\d+)\.mlp\.fc0\.": rf"{VISION}encoder.layers.\1.mlp.fc1.",
    rf"{_TOWER}encoder\.final_layernorm\.": rf"{VISION}post_layernorm.",
    rf"{_TOWER}patch_embed\.proj\.": rf"{VISION}embeddings.patch_embedding.",
}
_TABLE = f"{VISION}patch_embed.pos_emb.weight"


@dataclass(frozen=True)
class _Rows:
    """A file of which one of three equal parts of a tensor's rows is read."""

    file: TensorFile
    part: int

    def get_tensor(self, name: str) -> NDArray[Any]:
        """Read the rows of the part."""
        packed = self.file.get_tensor(name)
        rows = len(packed) // len(PROJECTIONS)
        return packed[self.part * rows : (self.part + 1) * rows]


def from_moonvit_names(stored: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Return the tensors under the names that this package has for them; those with other names keep theirs."""
    return {ours: tensor for name, given in stored.items() for ours, tensor in _renamed(name, given)}


def _renamed(name: str, stored: StoredTensor) -> Iterator[tuple[str, StoredTensor]]:
    packed = _PACKED.match(name)
    if packed is not None and stored.shape and stored.shape[0] % len(PROJECTIONS) == 0:
        tower, layer, kind = packed.groups()
        shape = (stored.shape[0] // len(PROJECTIONS), *stored.shape[1:])
        for part, projection in enumerate(PROJECTIONS):
            rows = replace(stored, file=_Rows(stored.file, part), shape=shape)
            yield f"{tower}encoder.layers.{layer}.self_attn.{projection}.{kind}", rows
    elif name == _TABLE:
        yield (
            f"{VISION}embeddings.position_embedding.weight",
            replace(stored, shape=(math.prod(stored.shape[:2]), *stored.shape[2:])),
        )
    else:
        for theirs, ours in _RENAMED.items():
            if re.match(theirs, name):
                name = re.sub(theirs, ours, name)
                break
        yield name, stored
