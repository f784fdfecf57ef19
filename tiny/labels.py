"""What a view shows, as labels: per patch (dense) and per image token (slots)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uhd_edge.tiny.scenes import ALPHABET, COLOUR_NAMES, NO_SHAPE, SHAPES, Object, Scene, glyph_advance
from uhd_edge.tiny.views import PATCH, View

POSITIONS = 5  # characters of the longest code
CAP_HEIGHT = 0.73  # of DejaVu's capitals, in font sizes
SEEN_SHAPE = 0.3  # a shape counts as seen when this share of its box is in the view
SEEN_GLYPH = 0.5


@dataclass(frozen=True)
class Slot:
    """What a view shows of one object.

    `x`, `y` in view pixels: the middle of its visible part. `code`: the visible characters.
    `colour` and `shape` are None when too little of the shape is visible.
    """

    x: float
    y: float
    colour: int | None
    shape: int | None
    code: str
    cut_left: bool
    cut_right: bool


def glyph_centres(drawn: Object, view: View) -> list[tuple[float, float]]:
    """The centre of each of the code's glyphs in view pixels."""
    centres = []
    x, y = drawn.code_left, drawn.baseline - CAP_HEIGHT / 2 * drawn.size
    for character in drawn.code:
        advance = glyph_advance(character, drawn.font, drawn.size)
        centres.append(view.place(x + advance / 2, y))
        x += advance
    return centres


def slot_of(drawn: Object, view: View) -> Slot | None:
    """What the view shows of an object; None when that is neither its shape nor a glyph."""
    width, height = view.columns * PATCH, view.rows * PATCH
    half_cap = view.place(0, view.top + CAP_HEIGHT / 2 * drawn.size)[1]
    visible = [
        0 <= x < width and min(y + half_cap, height) - max(y - half_cap, 0) > SEEN_GLYPH * 2 * half_cap
        for x, y in glyph_centres(drawn, view)
    ]
    left, top = view.place(drawn.x - drawn.radius, drawn.y - drawn.radius)
    right, bottom = view.place(drawn.x + drawn.radius, drawn.y + drawn.radius)
    seen_width = max(0.0, min(right, width) - max(left, 0))
    seen = seen_width * max(0.0, min(bottom, height) - max(top, 0)) / ((right - left) * (bottom - top))
    if seen < SEEN_SHAPE and not any(visible):
        return None
    box_left, box_top = view.place(*drawn.box[:2])
    box_right, box_bottom = view.place(*drawn.box[2:])
    return Slot(
        x=min((max(box_left, 0) + min(box_right, width)) / 2, width - 0.01),
        y=min((max(box_top, 0) + min(box_bottom, height)) / 2, height - 0.01),
        colour=COLOUR_NAMES.index(drawn.colour) if seen >= SEEN_SHAPE else None,
        shape=SHAPES.index(drawn.shape) if seen >= SEEN_SHAPE else None,
        code="".join(character for character, shown in zip(drawn.code, visible, strict=True) if shown),
        cut_left=any(visible) and not visible[0],
        cut_right=any(visible) and not visible[-1],
    )


def slots_of(scene: Scene, view: View) -> list[Slot]:
    """What the view shows of every object."""
    return [slot for drawn in scene.objects if (slot := slot_of(drawn, view)) is not None]


def dense_labels(scene: Scene, view: View) -> np.ndarray:
    """int64 [rows, columns, 3]: character (1 + its index), colour and shape at a patch; 0 is none."""
    labels = np.zeros((view.rows, view.columns, 3), np.int64)
    for drawn in scene.objects:
        if drawn.shape != NO_SHAPE:
            _label_shape(labels, drawn, view)
        for character, (x, y) in zip(drawn.code, glyph_centres(drawn, view), strict=True):
            row, column = int(y // PATCH), int(x // PATCH)
            if 0 <= row < view.rows and 0 <= column < view.columns:
                labels[row, column, 0] = 1 + ALPHABET.index(character)
    return labels


def _label_shape(labels: np.ndarray, drawn: Object, view: View) -> None:
    middles_down = (np.arange(view.rows) + 0.5) * PATCH
    middles_across = (np.arange(view.columns) + 0.5) * PATCH
    left, top = view.place(drawn.x - 0.8 * drawn.radius, drawn.y - 0.8 * drawn.radius)
    right, bottom = view.place(drawn.x + 0.8 * drawn.radius, drawn.y + 0.8 * drawn.radius)
    rows = (middles_down > top) & (middles_down < bottom)
    columns = (middles_across > left) & (middles_across < right)
    inside = rows[:, None] & columns[None, :]
    labels[inside, 1] = 1 + COLOUR_NAMES.index(drawn.colour)
    labels[inside, 2] = 1 + SHAPES.index(drawn.shape)


SLOT_FIELDS = 3 + POSITIONS + 2  # presence, colour, shape, characters, cut left, cut right
CROWDED = -100


def slot_labels(scene: Scene, view: View, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Slots laid on tokens of `side` x `side` patches.

    Returns int64 [tokens, 10] (presence; colour, shape and five characters with 0 for none;
    the two cut flags) and float32 [tokens, 2] (x and y in the view, 0..1). A token with two
    objects has presence `CROWDED`.
    """
    rows, columns = view.rows // side, view.columns // side
    fields = np.zeros((rows * columns, SLOT_FIELDS), np.int64)
    if any(drawn.shape == NO_SHAPE for drawn in scene.objects):
        fields[:, 0] = CROWDED
        return fields, np.zeros((rows * columns, 2), np.float32)
    places = np.zeros((rows * columns, 2), np.float32)
    for slot in slots_of(scene, view):
        token = int(slot.y // (side * PATCH)) * columns + int(slot.x // (side * PATCH))
        taken = fields[token, 0] != 0
        fields[token, 0] = CROWDED if taken else 1
        fields[token, 1] = 0 if slot.colour is None else 1 + slot.colour
        fields[token, 2] = 0 if slot.shape is None else 1 + slot.shape
        fields[token, 3 : 3 + POSITIONS] = 0
        for position, character in enumerate(slot.code):
            fields[token, 3 + position] = 1 + ALPHABET.index(character)
        fields[token, 8:] = slot.cut_left, slot.cut_right
        places[token] = slot.x / (view.columns * PATCH), slot.y / (view.rows * PATCH)
    return fields, places
