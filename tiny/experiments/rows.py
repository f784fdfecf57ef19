"""The rows of the tables: each is one way of encoding, and how its compressor begins."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from uhd_edge.runtime.bundles.compressors import COMPRESSOR_NAMES
from uhd_edge.runtime.bundles.manifest import Vision
from uhd_edge.runtime.bundles.model_sizes import MINICPM_V_4_6, ModelSizes
from uhd_edge.tiny.training.tower_start import CONFIG

if TYPE_CHECKING:
    from uhd_edge.export.tower_config import TowerConfig
    from uhd_edge.runtime.bundles.compressors import CompressorName

# A narrower tower than uhd-tiny's: a row has to be trained in a minute or two on one core.
TOWER: Final = replace(CONFIG, hidden=128, intermediate=256, heads=4)
BEFORE: Final = replace(TOWER, window=1)  # what all rows begin with: no compressor


@dataclass(frozen=True)
class Row:
    """A row. `compressor` None merges all after the tower (post-ViT).

    The compressor stands after layer `insert_layer`. It begins with what it can take from that layer
    if `reuse`, and at random otherwise. The picture is one view, or with `slices` a thumbnail and four
    slices.
    """

    name: str
    compressor: CompressorName | None = "window-reuse"
    insert_layer: int = CONFIG.insert_layer
    reuse: bool = True
    slices: bool = False

    @property
    def tower(self) -> TowerConfig:
        """The sizes of its tower and connector."""
        if self.compressor is None:
            return replace(TOWER, window=1, merge_rounds=2, insert_layer=TOWER.layers - 1)
        return replace(TOWER, compressor=self.compressor, insert_layer=self.insert_layer)

    @property
    def sizes(self) -> ModelSizes:
        """The same sizes, as the count of operations takes them."""
        tower = self.tower
        vision = Vision(
            hidden_size=tower.hidden,
            layers=tower.layers,
            insert_layer=tower.insert_layer,
            table_side=tower.table_side,
            window=math.isqrt(tower.window),
            merge=math.isqrt(tower.merge),
            merge_rounds=tower.merge_rounds,
            compressor=tower.compressor,
        )
        return ModelSizes(self.name, vision, MINICPM_V_4_6.preprocessing, tower.intermediate, tower.llm_hidden)


# In the order in which they are trained.
ROWS: Final = (
    Row("window-reuse"),
    Row("post-vit", None),
    Row("window-reuse-random", reuse=False),
    Row("window-reuse-slices", slices=True),
    Row("average-pool", "average-pool"),
    Row("post-vit-slices", None, slices=True),
    Row("window-reuse-after-3", insert_layer=3),
    Row("pixel-unshuffle", "pixel-unshuffle"),
    Row("cross-mean", "cross-mean"),
    Row("window-mlp", "window-mlp"),
    Row("window-reuse-after-0", insert_layer=0),
    Row("cross-top-left", "cross-top-left"),
    Row("reused-mlp", "reused-mlp"),
)

# The tables: a title, and the rows that it compares. The first is what the others are compared with.
TABLES: Final[dict[str, tuple[str, ...]]] = {
    "Slices against one view": ("post-vit", "post-vit-slices", "window-reuse", "window-reuse-slices"),
    "After the tower, or inside it at three depths": (
        "post-vit",
        "window-reuse-after-0",
        "window-reuse",
        "window-reuse-after-3",
    ),
    "Compressors": COMPRESSOR_NAMES,
    "First weights: reused or random": ("window-reuse", "window-reuse-random"),
}


def find_row(name: str) -> Row:
    """The row `name`; raises KeyError for another."""
    return {row.name: row for row in ROWS}[name]
