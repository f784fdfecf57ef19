"""Symbolic image tokens: embeddings computed from the scene, which the tower later has to produce.

A token is the sum of two kinds of vectors. For each object whose anchor lies in its area, it has
one for the object's colour, shape and place. For the glyphs that lie in its area, it has one for
the colour and shape of the object they belong to, and for each character the character's vector
times the vector of its position in the code. A second vector for each character, without the
position, lets a token be found by its letters. The sum of the tokens that a code spans spells
the whole code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uhd_edge.tiny.world.labels import POSITIONS, Seen, spelled, to_class, token_at
from uhd_edge.tiny.world.scenes import ALPHABET, COLOUR_NAMES, SHAPES
from uhd_edge.tiny.world.views import View

WAVES = (1, 2, 4)  # the sines and cosines of a place have this many half periods across a view
PLACE = 2 + 4 * len(WAVES)
SPREAD = 0.06  # standard deviation of the tables' first values; `reader_start.py` replaces some


@dataclass(frozen=True)
class Said:
    """What the image tokens of a batch say, as two lists: anchors and glyphs.

    Anchors: `token`, `colour`, `shape` int64 [A], `place` float [A, 2]. Glyphs: `spelled_token`,
    `owner_colour`, `owner_shape` int64 [G], `characters` int64 [G, 5], `cuts` float [G, 2].
    `token` and `spelled_token` are indices of tokens, counted over the whole batch. Class 0 is none.
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
    """What the tokens of views say, view by view, from what each view shows. A token has `side` x `side` patches."""
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


class Symbols(nn.Module):
    """The tables of vectors that symbolic tokens are made of. They are trained with the language model."""

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
        self.letters = nn.Parameter(SPREAD * torch.randn(1 + len(ALPHABET), width))
        self.owner = nn.Parameter(SPREAD * torch.randn(colours, shapes, width))

    def forward(self, words: Said, tokens: int) -> Tensor:
        """The embeddings [tokens, width] of `tokens` image tokens."""
        anchors = self._anchors(words.colour, words.shape, words.place)
        glyphs = self._glyphs(words.owner_colour, words.owner_shape, words.characters, words.cuts)
        empty = torch.zeros(tokens, self.present.shape[0], dtype=anchors.dtype, device=anchors.device)
        glyphs = glyphs.to(anchors.dtype)
        return empty.index_add(0, words.token, anchors).index_add(0, words.spelled_token, glyphs)

    def by_labels(self, fields: Tensor, places: Tensor) -> Tensor:
        """The embeddings [L, width] that tokens should have by their `token_labels` [L, 13] and [L, 2]."""
        anchors = self._anchors(fields[:, 1], fields[:, 2], places)
        glyphs = self._glyphs(fields[:, 4], fields[:, 5], fields[:, 6 : 6 + POSITIONS], fields[:, -2:].float())
        return anchors * (fields[:, :1] == 1) + glyphs * (fields[:, 3:4] == 1)

    def _anchors(self, colour: Tensor, shape: Tensor, place: Tensor) -> Tensor:
        kind = self.colour[colour] + self.shape[shape] + self.joint[colour, shape]
        return self.present + kind + place_features(place) @ self.place

    def _glyphs(self, colour: Tensor, shape: Tensor, characters: Tensor, cuts: Tensor) -> Tensor:
        bound = self.alphabet[characters] * self.position + self.letters[characters]
        written = (bound * (characters > 0).unsqueeze(-1)).sum(dim=1)
        return self.owner[colour, shape] + cuts @ self.cut + written


def place_features(place: Tensor) -> Tensor:
    """Places [S, 2] in 0..1 -> features [S, 14]: the place, shifted to be around 0, and its sines and cosines."""
    angles = torch.cat([math.pi * wave * place for wave in WAVES], dim=-1)
    return torch.cat([4 * (place - 0.5), angles.sin(), angles.cos()], dim=-1)
