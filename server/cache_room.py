"""How much memory a server keeps for embeddings of views: by the model, not one number for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.runtime.vision.patches import tokens_per_view
from uhd_edge.runtime.vision.view_cache import ENTRY_BYTES

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.modes import Mode

# A client sends the images of a conversation anew with each turn. This is room for those of twenty
# conversations about one image of ten views each.
VIEWS = 200


def room_for_views(manifest: Manifest, mode: Mode | None) -> int:
    """Bytes that `VIEWS` views take, each a whole slice in `mode`, without it the bundle's own."""
    side = manifest.preprocessing.scale_resolution // manifest.preprocessing.patch_size
    tokens = tokens_per_view(side, side, manifest.vision, mode=mode or manifest.default_mode)
    return VIEWS * (ENTRY_BYTES + 4 * tokens * manifest.llm.hidden_size)
