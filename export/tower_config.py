"""The sizes of the vision tower and the connector."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TowerConfig:
    """Sizes of the vision tower and the connector, read from a checkpoint.

    `window` is the number of tokens that the compressor turns into one (2x2 = 4), `merge` the
    number that one round of the connector does (2x2 = 4). The compressor stands after the layer
    with the index `insert_layer`.
    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    patch: int
    channels: int
    table_side: int
    insert_layer: int
    window: int
    merge: int
    merge_rounds: int
    llm_hidden: int
    epsilon: float = 1e-6

    @property
    def patch_values(self) -> int:
        """Numbers in one flattened patch: channels * patch * patch."""
        return self.channels * self.patch * self.patch
