"""A server keeps embeddings of as many views whatever the model."""

from __future__ import annotations

import pytest

from uhd_edge.runtime import Bundle, VisionEncoder
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.vision.view_cache import ENTRY_BYTES
from uhd_edge.server.cache_room import VIEWS, room_for_views
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.scenes import SLICED, draw_scene


@pytest.mark.parametrize("mode", ["16x", "4x"])
def test_there_is_room_for_two_hundred_views(mode: Mode) -> None:
    bundle = Bundle.open()
    with VisionEncoder(bundle, threads=1) as encoder:
        encoded = encoder.encode(draw_picture(draw_scene("room", SLICED)), mode=mode)
    of_view = ENTRY_BYTES + max(view.tokens for view in encoded.views) * encoded.embeddings[0].nbytes
    assert of_view * VIEWS <= room_for_views(bundle.manifest, mode) <= 1.5 * of_view * VIEWS
    assert room_for_views(bundle.manifest, None) == room_for_views(bundle.manifest, bundle.manifest.default_mode)
