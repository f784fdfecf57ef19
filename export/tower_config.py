"""The sizes of the vision tower and the connector, and which of their variants they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.backbones import BackboneName
    from uhd_edge.runtime.bundles.compressors import CompressorName, ConnectorName

HEAD = 128  # width of a resampler's head, as in its source: the language model's width is divided into such


@dataclass(frozen=True)
class TowerConfig:
    """Sizes of the vision tower and the connector, read from a checkpoint.

    `window` is the number of tokens that the compressor turns into one (2x2 = 4), `merge` the
    number that one round of the connector does (2x2 = 4). The compressor stands after the layer
    with the index `insert_layer`. A `window` of 1 means that there is no compressor. `compressor`
    is one of `uhd_edge.runtime.bundles.compressors`. A `resampler` as connector has `queries`
    learned queries, as many as it gives embeddings for a view, and merges nothing. `backbone` is one
    of `uhd_edge.runtime.bundles.backbones`.
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
    compressor: CompressorName = "window-reuse"
    connector: ConnectorName = "mlp"
    queries: int = 0
    backbone: BackboneName = "siglip2"

    @property
    def has_compressor(self) -> bool:
        """Whether tokens are merged within the tower."""
        return self.window > 1

    @property
    def turns(self) -> bool:
        """Whether queries and keys turn by their place in every attention of the tower."""
        return self.backbone == "moonvit"

    @property
    def head(self) -> int:
        """Numbers in an attention head of the tower."""
        return self.hidden // self.heads

    @property
    def patch_values(self) -> int:
        """Numbers in one flattened patch: channels * patch * patch."""
        return self.channels * self.patch * self.patch

    @property
    def feature_width(self) -> int:
        """Numbers in a feature: `hidden`, and before a resampler the row and column of its place."""
        return self.hidden + (2 if self.connector == "resampler" else 0)

    @property
    def resampler_heads(self) -> int:
        """Heads of a resampler's attention."""
        return max(1, self.llm_hidden // HEAD)
