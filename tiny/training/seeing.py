"""Stages "seeing" and "compression": trains the tower, with heads that are thrown away afterwards."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from uhd_edge.export.tower_config import TowerConfig
from uhd_edge.tiny.training.tower_start import CONFIG, new_connector, new_tower
from uhd_edge.tiny.world.drawing import draw_picture, quick_noise
from uhd_edge.tiny.world.labels import POSITIONS, dense_labels, token_labels
from uhd_edge.tiny.world.scenes import (
    ALPHABET,
    BASELINE,
    CODE_LENGTHS,
    COLOUR_NAMES,
    FONTS,
    NO_SHAPE,
    SHAPES,
    Object,
    Scene,
    World,
    code_width,
    draw_scene,
)
from uhd_edge.tiny.world.views import PATCH, View, block_order, compute_position_ids, cut_patches, cut_views

CHARACTERS = 1 + len(ALPHABET)
COLOUR_CLASSES = 1 + len(COLOUR_NAMES)
SHAPE_CLASSES = 1 + len(SHAPES)
DENSE = (CHARACTERS, COLOUR_CLASSES, SHAPE_CLASSES, 1 + POSITIONS)
# The parts of the token head: anchor there or not, its colour and shape; glyphs there or not, their owner's
# colour and shape, the characters, whether the code is cut on the left and on the right. Two more outputs are
# the anchor's place.
TOKEN = (1, COLOUR_CLASSES, SHAPE_CLASSES, 1, COLOUR_CLASSES, SHAPE_CLASSES, *[CHARACTERS] * POSITIONS, 2, 2)
STRETCH = (0.9, 1.25)  # the sides of a crowded picture, relative to those of its view
TOKEN_GAIN = 8.0  # the token head's inputs are multiplied by this: embeddings are small numbers


@dataclass(frozen=True)
class Crowd:
    """What the pictures that fill one view are full of.

    A crowded scene has fonts up to one of `largest`, and at least 6 pixels less; a page of text has
    fonts of `text_sizes`.
    """

    code_lengths: tuple[int, int] = CODE_LENGTHS
    largest: tuple[int, ...] = (28, 32, 38)
    text_sizes: tuple[int, ...] = (22, 24, 26, 28, 30, 32, 34, 36, 38)
    alphabet: str = ALPHABET


CROWD = Crowd()


@dataclass(frozen=True)
class SeenBatch:
    """Views of the same size with their labels, which are in block order.

    `pixels` uint8 [B, H, W, 3]; `position_ids` [N]; `dense` int64 [B, N, 4], see `dense_labels`;
    `tokens` int64 [B, T, 13] and `places` float [B, T, 2], see `token_labels`. T is N / 16 with
    compression, N / 4 without.
    """

    pixels: Tensor
    position_ids: Tensor
    dense: Tensor
    tokens: Tensor
    places: Tensor

    @property
    def compressed(self) -> bool:
        """Whether the labels are for the tokens of 16x."""
        return self.tokens.shape[1] * 16 == self.position_ids.shape[0]


class Sight(NamedTuple):
    """The outputs of the heads, and of the connector, for a batch of views.

    `dense` [B, N, 55] are logits for each patch. `spelling` [B, N/4, 5, 35] are logits of the
    characters in each 2x2 cell, by their position in the code. `tokens` [B, T, 211] are logits
    for each image token. `embeddings` [B, T, 256] is the connector's output.
    """

    dense: Tensor
    spelling: Tensor
    tokens: Tensor
    embeddings: Tensor


class Seer(nn.Module):
    """Tower and connector, with the heads that train them."""

    def __init__(self, seed: int, config: TowerConfig = CONFIG) -> None:
        super().__init__()
        self.tower = new_tower(seed, config)
        self.connector = new_connector(seed, config)
        self.patch_head = nn.Linear(config.hidden, sum(DENSE))
        self.cell_head = nn.Linear(config.hidden, CONFIG.window * sum(DENSE))
        self.spell_head = nn.Linear(config.hidden, POSITIONS * CHARACTERS)
        self.token_head = nn.Linear(config.llm_hidden, sum(TOKEN) + 2)

    def forward(self, pixels: Tensor, position_ids: Tensor, compress: bool) -> Sight:
        """uint8 [B, H, W, 3] and [N] -> the outputs of the heads and the connector."""
        patches = cut_patches(pixels, 4 if compress else 2)
        features = self.tower.encode(patches, position_ids.expand(patches.shape[0], -1), compress=compress)
        merged = compress and self.tower.config.has_compressor
        head = self.cell_head if merged else self.patch_head
        dense = head(features).reshape(patches.shape[0], patches.shape[1], -1)
        cells = features
        if not merged:
            cells = features.reshape(features.shape[0], -1, CONFIG.window, features.shape[2]).mean(dim=2)
        spelling = self.spell_head(cells).reshape(*cells.shape[:2], POSITIONS, CHARACTERS)
        embeddings = self.connector(features)
        return Sight(dense, spelling, self.token_head(TOKEN_GAIN * embeddings), embeddings)


def crowded_world(dice: random.Random, crowd: Crowd) -> World:
    """A world of pictures that fill one view and are full of objects, some of them cut off by the border."""
    largest = dice.choice(crowd.largest)
    few = 224 * 224 // (largest * largest * 14)
    fonts, overhang = (largest - 6, largest), dice.choice([0.0, 0.5])
    return World((0, 0), (1, 4 + 2 * few), fonts, overhang, crowd.code_lengths, crowd.alphabet)


def text_scene(seed: str, size: tuple[int, int], crowd: Crowd) -> Scene:
    """A scene of lines of random codes, without shapes."""
    dice = random.Random(seed)
    scene = draw_scene(seed, World((0, 0), (0, 0), (16, 40)), size)
    written = []
    down = dice.uniform(-10, 10)
    while down < size[1]:
        font, letters = dice.choice(FONTS), dice.choice(crowd.text_sizes)
        down += letters * dice.uniform(0.85, 1.3)
        across = dice.uniform(-30, 20)
        while across < size[0]:
            code = "".join(dice.choice(crowd.alphabet) for _ in range(dice.randint(*crowd.code_lengths)))
            width = code_width(code, font, letters)
            baseline = down - BASELINE * letters
            middle = across + width / 2
            written.append(Object("black", NO_SHAPE, (0, 0, 0), middle, baseline, 0.0, code, font, letters))
            across += width + dice.uniform(0.6, 2.0) * letters
    return replace(scene, objects=tuple(written))


def seen_batch(
    seed: str,
    count: int,
    rows: int,
    columns: int,
    *,
    compress: bool,
    text_share: float = 0.5,
    crowd: Crowd = CROWD,
) -> SeenBatch:
    """A batch of crowded views, drawn by `seed`. Three in four are resized, as slices are."""
    dice = random.Random(seed)
    pixels, shown = [], []
    for index in range(count):
        down, across = (dice.uniform(*STRETCH), dice.uniform(*STRETCH)) if dice.random() < 0.75 else (1.0, 1.0)
        size = round(columns * PATCH * across), round(rows * PATCH * down)
        if dice.random() < text_share:
            scene = text_scene(f"{seed}/{index}", size, crowd)
        else:
            scene = draw_scene(f"{seed}/{index}", crowded_world(dice, crowd), size)
        view = View(rows, columns, 0, 0, *size)
        pixels += cut_views(draw_picture(scene, quick_noise), [view], (0, 0))
        shown.append((scene, view))
    return label_views(np.stack(pixels), shown, compress)


def label_views(pixels: np.ndarray, shown: list[tuple[Scene, View]], compress: bool) -> SeenBatch:
    """Make a batch of views of the same size, uint8 [B, H, W, 3], and of what each shows."""
    rows, columns = shown[0][1].rows, shown[0][1].columns
    dense = torch.from_numpy(np.stack([dense_labels(scene, view) for scene, view in shown]))
    labels = [token_labels(scene, view, 4 if compress else 2) for scene, view in shown]
    fields = torch.from_numpy(np.stack([field for field, _ in labels]))
    places = torch.from_numpy(np.stack([place for _, place in labels]))
    block = 4 if compress else 2
    return SeenBatch(
        pixels=torch.from_numpy(pixels),
        position_ids=compute_position_ids(rows, columns, block),
        dense=block_order(dense, block),
        tokens=fields,
        places=places,
    )
