"""Image tokens made of symbols: what the tower will have to say, computed from the scene.

A token is the sum over the objects whose middle lies in its area. Characters share one
alphabet; a vector for each position in the code, multiplied on, says which character it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uhd_edge.tiny.labels import POSITIONS, Slot
from uhd_edge.tiny.scenes import ALPHABET, COLOUR_NAMES, SHAPES
from uhd_edge.tiny.views import PATCH, View

WAVES = (1, 2, 4)  # half periods across a view, of the place's sines and cosines
PLACE = 2 + 4 * len(WAVES)
SPREAD = 0.06  # of the tables' first values


@dataclass(frozen=True)
class SlotBatch:
    """Slots of many views, flat: int64 [S] unless said otherwise.

    `token` counts over all tokens of the batch. `colour`, `shape` and `characters` [S, 5]
    have 0 for none. `cuts` float [S, 2]; `place` float [S, 2], 0..1.
    """

    token: Tensor
    colour: Tensor
    shape: Tensor
    characters: Tensor
    cuts: Tensor
    place: Tensor


def slot_batch(shown: list[tuple[list[Slot], View]], side: int) -> SlotBatch:
    """Slots by view -> flat tensors; tokens are `side` x `side` patches, row by row, view by view."""
    rows: list[list[int]] = []
    places: list[list[float]] = []
    first = 0
    for slots, view in shown:
        columns = view.columns // side
        for slot in slots:
            token = first + int(slot.y // (side * PATCH)) * columns + int(slot.x // (side * PATCH))
            code = [1 + ALPHABET.index(character) for character in slot.code]
            kind = [0 if part is None else 1 + part for part in (slot.colour, slot.shape)]
            rows.append([token, *kind, *code, *[0] * (POSITIONS - len(code)), slot.cut_left, slot.cut_right])
            places.append([slot.x / (view.columns * PATCH), slot.y / (view.rows * PATCH)])
        first += (view.rows // side) * columns
    table = torch.tensor(rows).reshape(-1, 5 + POSITIONS)
    return SlotBatch(
        token=table[:, 0],
        colour=table[:, 1],
        shape=table[:, 2],
        characters=table[:, 3 : 3 + POSITIONS],
        cuts=table[:, 3 + POSITIONS :].float(),
        place=torch.tensor(places).reshape(-1, 2),
    )


class Symbols(nn.Module):
    """The tables of the symbolic tokens, learned together with the language model."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alphabet = nn.Parameter(SPREAD * torch.randn(1 + len(ALPHABET), width))
        self.position = nn.Parameter(torch.randint(0, 2, (POSITIONS, width)) * 2.0 - 1.0)
        self.colour = nn.Parameter(SPREAD * torch.randn(1 + len(COLOUR_NAMES), width))
        self.shape = nn.Parameter(SPREAD * torch.randn(1 + len(SHAPES), width))
        self.joint = nn.Parameter(SPREAD * torch.randn(1 + len(COLOUR_NAMES), 1 + len(SHAPES), width))
        self.present = nn.Parameter(SPREAD * torch.randn(width))
        self.cut = nn.Parameter(SPREAD * torch.randn(2, width))
        self.place = nn.Parameter(SPREAD * torch.randn(PLACE, width))

    def forward(self, slots: SlotBatch, tokens: int) -> Tensor:
        """The embeddings [tokens, width] of `tokens` image tokens."""
        vectors = self.present + self.colour[slots.colour] + self.shape[slots.shape]
        vectors = vectors + self.joint[slots.colour, slots.shape] + slots.cuts @ self.cut
        vectors = vectors + place_features(slots.place) @ self.place
        written = (slots.characters > 0).unsqueeze(-1)
        vectors = vectors + (self.alphabet[slots.characters] * self.position * written).sum(dim=1)
        empty = torch.zeros(tokens, self.present.shape[0], dtype=vectors.dtype)
        return empty.index_add(0, slots.token, vectors)


def place_features(place: Tensor) -> Tensor:
    """[S, 2] in 0..1 -> [S, 14]: the place itself, around 0, and its sines and cosines."""
    angles = torch.cat([math.pi * wave * place for wave in WAVES], dim=-1)
    return torch.cat([4 * (place - 0.5), angles.sin(), angles.cos()], dim=-1)
