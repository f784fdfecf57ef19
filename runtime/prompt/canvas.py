"""Positions of tokens where every image is a canvas: those of MiniCPM-V 4.7, by time, height and width.

Text counts on in all three. An image stands still in time, and its tokens lie where they are in the
picture: the slices side by side, the thumbnail stretched over all of them, and the special tokens
around a view at its corners. What follows begins beyond the longer side of the picture.

Positions equal those of `MiniCPMV4_7Model.get_rope_index` in transformers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from uhd_edge.runtime.bundles.manifest import SpecialTokens
    from uhd_edge.runtime.llm.batch import Positions
    from uhd_edge.runtime.llm.vocabulary import Vocabulary

# A newline between two slices stands with the tokens that end one and begin the next.
BETWEEN_SLICES = 2


@dataclass(frozen=True)
class Markers:
    """Token ids of what may stand around a view."""

    image_start: int
    image_end: int
    slice_start: int
    slice_end: int
    newline: int

    @property
    def all(self) -> frozenset[int]:
        """All of them."""
        return frozenset((self.image_start, self.image_end, self.slice_start, self.slice_end, self.newline))


@dataclass(frozen=True)
class Crop:
    """Where a view stands in a prompt, from token `start` to `stop`, and its (rows, columns) of embeddings."""

    start: int
    stop: int
    shape: tuple[int, int]


@dataclass(frozen=True)
class _Frame:
    """A thumbnail and the slices that belong to it; `columns` of them are in a row."""

    thumbnail: Crop
    slices: tuple[Crop, ...]
    columns: int

    @property
    def start(self) -> int:
        """The token before the thumbnail."""
        return self.thumbnail.start - 1

    @property
    def last(self) -> Crop:
        """The last view."""
        return self.slices[-1] if self.slices else self.thumbnail

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of the picture, in embeddings."""
        if not self.slices:
            return self.thumbnail.shape
        rows, columns = self.slices[0].shape
        return len(self.slices) // self.columns * rows, self.columns * columns


def find_markers(tokens: SpecialTokens, vocabulary: Vocabulary) -> Markers:
    """Look up the ids of the markers."""
    texts = (tokens.image_start, tokens.image_end, tokens.slice_start, tokens.slice_end, "\n")
    return Markers(*(vocabulary.tokenize(text)[0] for text in texts))


def place_on_canvas(ids: NDArray[np.int64], crops: Sequence[Crop], markers: Markers) -> Positions:
    """Place a prompt of tokens `ids` [n], those of a view below zero, whose views are `crops`."""
    positions = np.zeros((3, len(ids)), np.int32)
    following, cursor = 0, 0
    for frame in _frames(ids, crops, markers):
        if frame.start > cursor:
            positions[:, cursor : frame.start] = following + np.arange(frame.start - cursor)
            following += frame.start - cursor
        stop = frame.last.stop
        while stop < len(ids) and int(ids[stop]) in markers.all:
            stop += 1
        _place_frame(positions, frame, origin=following, stop=stop)
        following += max(frame.canvas) + 1
        cursor = stop
    positions[:, cursor:] = following + np.arange(len(ids) - cursor)
    return positions


def _frames(ids: NDArray[np.int64], crops: Sequence[Crop], markers: Markers) -> list[_Frame]:
    """Gather views: a view behind the start of a slice belongs to the thumbnail before it."""
    groups: list[list[Crop]] = []
    for crop in crops:
        if groups and int(ids[crop.start - 1]) == markers.slice_start:
            groups[-1].append(crop)
        else:
            groups.append([crop])
    return [_Frame(thumbnail, tuple(slices), _columns(slices)) for thumbnail, *slices in groups]


def _columns(slices: Sequence[Crop]) -> int:
    """Count the slices up to the first newline; without rows of equal length all are in one."""
    gaps = [after.start - before.stop for before, after in pairwise(slices)]
    columns = next((number + 1 for number, gap in enumerate(gaps) if gap > BETWEEN_SLICES), len(slices))
    return columns if columns and len(slices) % columns == 0 else len(slices)


def _place_frame(positions: Positions, frame: _Frame, *, origin: int, stop: int) -> None:
    """Place the tokens from the one before the thumbnail up to `stop`."""
    height, width = frame.canvas
    positions[:, frame.start : stop] = origin
    positions[1:, frame.start] = max(origin - 1, 0)
    thumbnail = frame.thumbnail
    if thumbnail.stop < stop:
        positions[1:, thumbnail.stop] = origin + height, origin + width
    _place_view(positions, thumbnail, origin, (0, 0), frame.canvas)
    for number, view in enumerate(frame.slices):
        row, column = divmod(number, frame.columns)
        corner = row * frame.slices[0].shape[0], column * frame.slices[0].shape[1]
        positions[1:, view.start - 1] = origin + corner[0], origin + corner[1]
        if view.stop < stop:
            positions[1:, view.stop] = origin + corner[0] + view.shape[0] - 1, origin + corner[1] + view.shape[1] - 1
        _place_view(positions, view, origin, corner, view.shape)
    for number, (before, after) in enumerate(pairwise(frame.slices)):
        if after.start - before.stop > BETWEEN_SLICES:
            bottom = (number // frame.columns + 1) * frame.slices[0].shape[0] - 1
            positions[1, before.stop + 1 : after.start - 1] = origin + bottom
            positions[2, before.stop + 1 : after.start - 1] = origin + width


def _place_view(
    positions: Positions, view: Crop, origin: int, corner: tuple[int, int], canvas: tuple[int, int]
) -> None:
    """Spread a view evenly over `canvas`, whose upper left corner is at `corner`."""
    heights = origin + corner[0] + evenly_spaced(canvas[0], view.shape[0])
    widths = origin + corner[1] + evenly_spaced(canvas[1], view.shape[1])
    positions[0, view.start : view.stop] = origin
    positions[1, view.start : view.stop] = np.repeat(heights, view.shape[1])
    positions[2, view.start : view.stop] = np.tile(widths, view.shape[0])


def evenly_spaced(length: int, count: int) -> NDArray[np.int32]:
    """Return `count` whole numbers from 0 to `length` - 1, as `torch.linspace(..).round()` gives them.

    It counts from both ends in float32, which decides where a number lies between two others.
    """
    if count == 1:
        return np.zeros(1, np.int32)
    end = np.float32(length - 1)
    step = end / np.float32(count - 1)
    places = np.arange(count, dtype=np.float32)
    spaced = np.where(places < count // 2, step * places, end - step * (np.float32(count - 1) - places))
    return np.rint(spaced).astype(np.int32)
