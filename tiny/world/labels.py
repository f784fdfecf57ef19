"""Labels for what a view shows: for each patch (dense), and for each image token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uhd_edge.tiny.world.scenes import ALPHABET, COLOUR_NAMES, NO_SHAPE, SHAPES, Object, Scene, glyph_advance
from uhd_edge.tiny.world.views import PATCH, View

POSITIONS = 5  # characters in the longest code
CAP_HEIGHT = 0.73  # height of DejaVu's capitals, relative to the font size
SEEN_SHAPE = 0.3  # a shape counts as visible when this share of its box is in the view
SEEN_GLYPH = 0.5  # a glyph counts as visible when this share of its height is in the view
READABLE = 16.0  # codes in a smaller font count as not visible; in pixels of the view


@dataclass(frozen=True)
class Seen:
    """What a view shows of one object.

    `anchor` is the middle (x, y) of the visible part of the shape, in pixels of the view. When too
    little of the shape is visible, `anchor`, `colour` and `shape` are None. `place` is the anchor
    as fractions (0..1) of the view's sides. `glyphs` are the visible characters with their centres
    in pixels of the view, from left to right. `cut_left` and `cut_right` say on which side
    characters of the code are not visible.
    """

    anchor: tuple[float, float] | None
    place: tuple[float, float]
    colour: int | None
    shape: int | None
    glyphs: tuple[tuple[str, float, float], ...]
    cut_left: bool
    cut_right: bool


def glyph_centres(drawn: Object, view: View) -> list[tuple[float, float]]:
    """The centre (x, y) of each glyph of the code, in pixels of the view."""
    centres = []
    x, y = drawn.code_left, drawn.baseline - CAP_HEIGHT / 2 * drawn.size
    for character in drawn.code:
        advance = glyph_advance(character, drawn.font, drawn.size)
        centres.append(view.place(x + advance / 2, y))
        x += advance
    return centres


def see(drawn: Object, view: View) -> Seen | None:
    """What the view shows of an object; None when it shows neither the shape nor a glyph.

    A code that is too small to be read in this view counts as not visible.
    """
    glyphs, cut_left, cut_right = _visible_glyphs(drawn, view)
    width, height = view.columns * PATCH, view.rows * PATCH
    left, top = view.place(drawn.x - drawn.radius, drawn.y - drawn.radius)
    right, bottom = view.place(drawn.x + drawn.radius, drawn.y + drawn.radius)
    middle_x = (min(right, width) + max(left, 0)) / 2
    middle_y = (min(bottom, height) + max(top, 0)) / 2
    seen = max(0.0, min(right, width) - max(left, 0)) * max(0.0, min(bottom, height) - max(top, 0))
    shown = drawn.shape != NO_SHAPE and seen >= SEEN_SHAPE * (right - left) * (bottom - top)
    if not shown and not glyphs:
        return None
    return Seen(
        anchor=(middle_x, middle_y) if shown else None,
        place=(middle_x / width, middle_y / height) if shown else (0.5, 0.5),
        colour=COLOUR_NAMES.index(drawn.colour) if shown else None,
        shape=SHAPES.index(drawn.shape) if shown else None,
        glyphs=glyphs,
        cut_left=cut_left,
        cut_right=cut_right,
    )


def _visible_glyphs(drawn: Object, view: View) -> tuple[tuple[tuple[str, float, float], ...], bool, bool]:
    """The visible characters with their centres, and whether the code is cut on the left and the right."""
    if not readable(drawn, view):
        return (), False, False
    width, height = view.columns * PATCH, view.rows * PATCH
    half_cap = view.place(0, view.top + CAP_HEIGHT / 2 * drawn.size)[1]
    glyphs = tuple((c, x, y) for c, (x, y) in zip(drawn.code, glyph_centres(drawn, view), strict=True))
    y = glyphs[0][2]
    if not 0 <= y < height or min(y + half_cap, height) - max(y - half_cap, 0) < SEEN_GLYPH * 2 * half_cap:
        return (), False, False
    visible = [0 <= x < width for _, x, _ in glyphs]
    kept = tuple(glyph for glyph, shown in zip(glyphs, visible, strict=True) if shown)
    return kept, bool(kept) and not visible[0], bool(kept) and not visible[-1]


def see_all(scene: Scene, view: View) -> list[Seen]:
    """What the view shows of each object that it shows at all."""
    return [seen for drawn in scene.objects if (seen := see(drawn, view)) is not None]


def readable(drawn: Object, view: View) -> bool:
    """Whether the object's code is large enough in the view to be read."""
    return drawn.size * view.rows * PATCH / view.height >= READABLE


def dense_labels(scene: Scene, view: View) -> np.ndarray:
    """Four labels for each patch, int64 [rows, columns, 4]; 0 is none.

    The labels are: the character whose centre is in the patch (1 + its index in `ALPHABET`), the
    colour and the shape of the object that covers the middle of the patch, and the position of the
    character in its code (1 to 5).
    """
    labels = np.zeros((view.rows, view.columns, 4), np.int64)
    for drawn in scene.objects:
        if drawn.shape != NO_SHAPE:
            _label_shape(labels, drawn, view)
        for position, (character, x, y) in enumerate(_visible_glyphs(drawn, view)[0]):
            row, column = int(y // PATCH), int(x // PATCH)
            labels[row, column, 0] = 1 + ALPHABET.index(character)
            labels[row, column, 3] = 1 + position
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


CROWDED = -100
TOKEN_FIELDS = 6 + POSITIONS + 2


def token_labels(scene: Scene, view: View, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels for image tokens of `side` x `side` patches each, row by row.

    Returns int64 [tokens, 13] and float32 [tokens, 2]. The first has for each token: whether an
    object's anchor is here, that object's colour and shape; whether glyphs are here, the colour
    and shape of the object they belong to, the five characters by their position in the code, and
    whether the code is cut on the left and on the right. 0 is none. Where two objects are in one
    token, "whether" is `CROWDED`. The second has the anchor's place, as fractions of the view.
    """
    rows, columns = view.rows // side, view.columns // side
    fields = np.zeros((rows * columns, TOKEN_FIELDS), np.int64)
    places = np.zeros((rows * columns, 2), np.float32)
    for seen in see_all(scene, view):
        kind = to_class(seen.colour), to_class(seen.shape)
        if seen.anchor is not None:
            token = token_at(*seen.anchor, view, side)
            fields[token, 0] = CROWDED if fields[token, 0] else 1
            fields[token, 1:3] = kind
            places[token] = seen.place
        for token, code in spelled(seen, view, side).items():
            fields[token, 3] = CROWDED if fields[token, 3] else 1
            fields[token, 4:6] = kind
            fields[token, 6 : 6 + POSITIONS] = code
            fields[token, 6 + POSITIONS :] = seen.cut_left, seen.cut_right
    return fields, places


def to_class(index: int | None) -> int:
    """0 for None, otherwise 1 + `index`."""
    return 0 if index is None else 1 + index


def token_at(x: float, y: float, view: View, side: int) -> int:
    """The index, row by row, of the token at (x, y) in pixels of the view."""
    return int(y // (side * PATCH)) * (view.columns // side) + int(x // (side * PATCH))


def spelled(seen: Seen, view: View, side: int) -> dict[int, list[int]]:
    """For each token with glyphs, the classes of the code's five characters; 0 where one is not in this token."""
    codes: dict[int, list[int]] = {}
    for position, (character, x, y) in enumerate(seen.glyphs):
        code = codes.setdefault(token_at(x, y, view, side), [0] * POSITIONS)
        code[position] = 1 + ALPHABET.index(character)
    return codes
