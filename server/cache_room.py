"""The size of a server's embedding cache, which depends on the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.runtime.vision.patches import tokens_per_view
from uhd_edge.runtime.vision.view_cache import ENTRY_BYTES

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.modes import Mode

# With every turn a client sends all images of the conversation again. This is room for twenty
# conversations, each about an image of ten views.
VIEWS = 200


def room_for_views(manifest: Manifest, mode: Mode | None) -> int:
    """Return the bytes that `VIEWS` full slices take in `mode`, or without it in the bundle's mode."""
    side = manifest.preprocessing.scale_resolution // manifest.preprocessing.patch_size
    tokens = tokens_per_view(side, side, manifest.vision, mode=mode or manifest.default_mode)
    return VIEWS * (ENTRY_BYTES + 4 * tokens * manifest.llm.hidden_size)
