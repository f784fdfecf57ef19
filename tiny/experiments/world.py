"""What the rows are trained on and asked about: uhd-tiny's pictures with codes of digits, in one view or in slices."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from uhd_edge.tiny.training.recipe import Kind
from uhd_edge.tiny.training.seeing import Crowd
from uhd_edge.tiny.world.questions import MEASURED_KINDS
from uhd_edge.tiny.world.scenes import World
from uhd_edge.tiny.world.views import VIEW_SIDE

DIGITS: Final = "0123456789"
SLICE_SIDE: Final = 112  # pixels of a slice's sides: a picture is cut into four of them, and has a thumbnail as large
PICTURES: Final = World(sides=(224, 224), objects=(1, 3), fonts=(22, 30), alphabet=DIGITS)
CROWD: Final = Crowd(largest=(28, 32), text_sizes=(22, 24, 26, 28, 30, 32), alphabet=DIGITS)
WHOLE, SLICES = ((16, 16),), ((8, 8),)  # rows and columns of views: of the whole picture, of a slice

# Views that are full of objects or text. A slice has a quarter of the pixels, so there are four times as many.
_TEXT = Kind("crowded", 16, compress=False, text_share=0.7, crowd=CROWD, grids=WHOLE)
_CROWDED = replace(_TEXT, text_share=0.15)

# The tower sees views of both sizes before any compressor stands in it.
SEEING_KINDS: Final = {
    "text": _TEXT,
    "crowded": _CROWDED,
    "text slices": replace(_TEXT, count=64, grids=SLICES),
    "crowded slices": replace(_CROWDED, count=64, grids=SLICES),
}

_VIEWS = Kind("views", 16, compress=True, worlds=(PICTURES,), asked=("presence",))

# A row is trained on views of one size: those of pictures like the ones that it will be asked about, and full ones.
ROW_KINDS: Final = {
    "pictures": _VIEWS,
    "pictures slices": replace(_VIEWS, view_side=SLICE_SIDE),
    **{name: replace(kind, compress=True) for name, kind in SEEING_KINDS.items()},
}


def asked_kind(count: int, *, slices: bool) -> Kind:
    """`count` pictures with a question of every measured kind each."""
    side = SLICE_SIDE if slices else VIEW_SIDE
    return Kind("pictures", count, compress=True, worlds=(PICTURES,), asked=MEASURED_KINDS, view_side=side)
