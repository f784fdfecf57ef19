"""Image tokens made of symbols: what the tower will have to say, computed from the scene.

A token names the objects whose anchor lies in its area, and spells the glyphs that lie in
it: their owner's colour and shape, and each character multiplied by a vector of its position
in the code, plus the character itself, so that a token can be found by its letters.
Characters share one alphabet. A code that spans several tokens is their sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uhd_edge.tiny.world.labels import POSITIONS, Seen, spelled, to_class, token_at
from uhd_edge.tiny.world.scenes import ALPHABET, COLOUR_NAMES, SHAPES
from uhd_edge.tiny.world.views import View

WAVES = (1, 2, 4)  # half periods across a view, of the place's sines and cosines
PLACE = 2 + 4 * len(WAVES)
SPREAD = 0.06  # of the tables' first values


@dataclass(frozen=True)
class Said:
    """What the image tokens of a batch say, flat; `token` counts over all tokens of the batch.

    Anchors: `token`, `colour`, `shape` int64 [A], `place` float [A, 2]. Glyphs: `spelled_token`,
    `owner_colour`, `owner_shape` int64 [G], `characters` int64 [G, 5], `cuts` float [G, 2].
    Classes are 0 for none.
    """

    token: Tensor
    colour: Tensor
    shape: Tensor
    place: Tensor
    spelled_token: Tensor
    owner_colour: Tensor
    owner_shape: Tensor
    characters: Tensor
    cuts: Tensor


def said(shown: list[tuple[list[Seen], View]], side: int) -> Said:
    """What views show -> what their tokens of `side` x `side` patches say, view by view."""
    anchors: list[list[int]] = []
    places: list[tuple[float, float]] = []
    glyphs: list[list[int]] = []
    first = 0
    for objects, view in shown:
        for seen in objects:
            kind = [to_class(seen.colour), to_class(seen.shape)]
            if seen.anchor is not None:
                anchors.append([first + token_at(*seen.anchor, view, side), *kind])
                places.append(seen.place)
            for token, code in spelled(seen, view, side).items():
                glyphs.append([first + token, *kind, *code, seen.cut_left, seen.cut_right])
        first += (view.rows // side) * (view.columns // side)
    table = torch.tensor(anchors, dtype=torch.int64).reshape(-1, 3)
    spelling = torch.tensor(glyphs, dtype=torch.int64).reshape(-1, 5 + POSITIONS)
    place = torch.tensor(places).reshape(-1, 2)
    return Said(
        token=table[:, 0],
        colour=table[:, 1],
        shape=table[:, 2],
        place=place,
        spelled_token=spelling[:, 0],
        owner_colour=spelling[:, 1],
        owner_shape=spelling[:, 2],
        characters=spelling[:, 3:-2],
        cuts=spelling[:, -2:].float(),
    )


def said_by_labels(fields: Tensor, places: Tensor) -> Said:
    """`token_labels` of a batch, [B, T, 13] and [B, T, 2] -> what its tokens say."""
    flat = fields.flatten(0, 1)
    anchors = (flat[:, 0] == 1).nonzero()[:, 0]
    glyphs = (flat[:, 3] == 1).nonzero()[:, 0]
    spelling = flat[glyphs]
    return Said(
        token=anchors,
        colour=flat[anchors, 1],
        shape=flat[anchors, 2],
        place=places.flatten(0, 1)[anchors],
        spelled_token=glyphs,
        owner_colour=spelling[:, 4],
        owner_shape=spelling[:, 5],
        characters=spelling[:, 6 : 6 + POSITIONS],
        cuts=spelling[:, 6 + POSITIONS :].float(),
    )


class Symbols(nn.Module):
    """The tables of the symbolic tokens, learned together with the language model."""

    def __init__(self, width: int) -> None:
        super().__init__()
        colours, shapes = 1 + len(COLOUR_NAMES), 1 + len(SHAPES)
        self.alphabet = nn.Parameter(SPREAD * torch.randn(1 + len(ALPHABET), width))
        self.position = nn.Parameter(torch.randint(0, 2, (POSITIONS, width)) * 2.0 - 1.0)
        self.colour = nn.Parameter(SPREAD * torch.randn(colours, width))
        self.shape = nn.Parameter(SPREAD * torch.randn(shapes, width))
        self.joint = nn.Parameter(SPREAD * torch.randn(colours, shapes, width))
        self.present = nn.Parameter(SPREAD * torch.randn(width))
        self.cut = nn.Parameter(SPREAD * torch.randn(2, width))
        self.place = nn.Parameter(SPREAD * torch.randn(PLACE, width))
        self.letters = nn.Parameter(0.5 * self.alphabet.detach().clone())
        self.owner = nn.Parameter(SPREAD * torch.randn(colours, shapes, width))

    def forward(self, words: Said, tokens: int) -> Tensor:
        """The embeddings [tokens, width] of `tokens` image tokens."""
        anchors = self.present + self.colour[words.colour] + self.shape[words.shape]
        anchors = anchors + self.joint[words.colour, words.shape] + place_features(words.place) @ self.place
        written = (words.characters > 0).unsqueeze(-1)
        glyphs = self.owner[words.owner_colour, words.owner_shape] + words.cuts @ self.cut
        bound = self.alphabet[words.characters] * self.position + self.letters[words.characters]
        glyphs = glyphs + (bound * written).sum(dim=1)
        empty = torch.zeros(tokens, self.present.shape[0], dtype=anchors.dtype)
        return empty.index_add(0, words.token, anchors).index_add(0, words.spelled_token, glyphs)


def place_features(place: Tensor) -> Tensor:
    """[S, 2] in 0..1 -> [S, 14]: the place itself, around 0, and its sines and cosines."""
    angles = torch.cat([math.pi * wave * place for wave in WAVES], dim=-1)
    return torch.cat([4 * (place - 0.5), angles.sin(), angles.cos()], dim=-1)
