"""Stages "seeing" and "compression": trains the tower, with heads that are thrown away afterwards."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from uhd_edge.tiny.training.tower_start import CONFIG, new_connector, new_tower
from uhd_edge.tiny.world.drawing import draw_picture
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
TEXT_SIZES = (22, 24, 26, 28, 30, 32, 34, 36, 38)
STRETCH = (0.9, 1.25)  # the sides of a crowded picture, relative to those of its view
TOKEN_GAIN = 8.0  # the token head's inputs are multiplied by this: embeddings are small numbers
NONE_WEIGHT = 0.2  # the weight of class 0, none, in the losses


@dataclass(frozen=True)
class SeenBatch:
    """Views of the same size with their labels, in block order.

    `patches` [B, N, 588]; `position_ids` [N]; `dense` int64 [B, N, 4], see `dense_labels`;
    `tokens` int64 [B, T, 13] and `places` float [B, T, 2], see `token_labels`. T is N / 16 with
    compression, N / 4 without.
    """

    patches: Tensor
    position_ids: Tensor
    dense: Tensor
    tokens: Tensor
    places: Tensor


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

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.tower = new_tower(seed)
        self.connector = new_connector(seed)
        self.patch_head = nn.Linear(CONFIG.hidden, sum(DENSE))
        self.cell_head = nn.Linear(CONFIG.hidden, CONFIG.window * sum(DENSE))
        self.spell_head = nn.Linear(CONFIG.hidden, POSITIONS * CHARACTERS)
        self.token_head = nn.Linear(CONFIG.llm_hidden, sum(TOKEN) + 2)

    def forward(self, patches: Tensor, position_ids: Tensor, compress: bool) -> Sight:
        """[B, N, 588] and [N] -> the outputs of the heads and the connector."""
        features = self.tower.encode(patches, position_ids.expand(patches.shape[0], -1), compress=compress)
        head = self.cell_head if compress else self.patch_head
        dense = head(features).reshape(patches.shape[0], patches.shape[1], -1)
        cells = features
        if not compress:
            cells = features.reshape(features.shape[0], -1, CONFIG.window, CONFIG.hidden).mean(dim=2)
        spelling = self.spell_head(cells).reshape(*cells.shape[:2], POSITIONS, CHARACTERS)
        embeddings = self.connector(features)
        return Sight(dense, spelling, self.token_head(TOKEN_GAIN * embeddings), embeddings)


def crowded_world(dice: random.Random) -> World:
    """A world of pictures that fill one view and are full of objects, some of them cut off by the border."""
    largest = dice.choice([28, 32, 38])
    few = 224 * 224 // (largest * largest * 14)
    return World((0, 0), (1, 4 + 2 * few), (largest - 6, largest), dice.choice([0.0, 0.5]))


def text_scene(seed: str, size: tuple[int, int]) -> Scene:
    """A scene of lines of random codes, without shapes."""
    dice = random.Random(seed)
    scene = draw_scene(seed, World((0, 0), (0, 0), (16, 40)), size)
    written = []
    down = dice.uniform(-10, 10)
    while down < size[1]:
        font, letters = dice.choice(FONTS), dice.choice(TEXT_SIZES)
        down += letters * dice.uniform(0.85, 1.3)
        across = dice.uniform(-30, 20)
        while across < size[0]:
            code = "".join(dice.choice(ALPHABET) for _ in range(dice.randint(*CODE_LENGTHS)))
            width = code_width(code, font, letters)
            baseline = down - BASELINE * letters
            middle = across + width / 2
            written.append(Object("black", NO_SHAPE, (0, 0, 0), middle, baseline, 0.0, code, font, letters))
            across += width + dice.uniform(0.6, 2.0) * letters
    return replace(scene, objects=tuple(written))


def seen_batch(seed: str, count: int, rows: int, columns: int, *, compress: bool, text_share: float = 0.5) -> SeenBatch:
    """A batch of crowded views, drawn by `seed`. Three in four are resized, as slices are."""
    dice = random.Random(seed)
    pixels, shown = [], []
    for index in range(count):
        down, across = (dice.uniform(*STRETCH), dice.uniform(*STRETCH)) if dice.random() < 0.75 else (1.0, 1.0)
        size = round(columns * PATCH * across), round(rows * PATCH * down)
        if dice.random() < text_share:
            scene = text_scene(f"{seed}/{index}", size)
        else:
            scene = draw_scene(f"{seed}/{index}", crowded_world(dice), size)
        view = View(rows, columns, 0, 0, *size)
        pixels += cut_views(draw_picture(scene), [view], (0, 0))
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
        patches=cut_patches(pixels, block),
        position_ids=compute_position_ids(rows, columns, block),
        dense=block_order(dense, block),
        tokens=fields,
        places=places,
    )


def seeing_loss(sight: Sight, batch: SeenBatch) -> Tensor:
    """Cross-entropy of the heads, plus the squared error of the anchors' places."""
    loss = torch.zeros((), device=sight.dense.device)
    for part, logits in enumerate(torch.split(sight.dense.float(), list(DENSE), dim=-1)):
        share = 0.5 if part in (1, 2) else 2.0
        loss = loss + share * _mostly_none(logits.flatten(0, 1), batch.dense[..., part].flatten())
    cells = batch.dense.reshape(batch.dense.shape[0], -1, CONFIG.window, len(DENSE))  # [B, N/4, 4, 4]
    for position in range(POSITIONS):
        written = (cells[..., 0] * (cells[..., 3] == 1 + position)).amax(dim=2)
        loss = loss + 0.6 * _mostly_none(sight.spelling[:, :, position].float().flatten(0, 1), written.flatten())
    return loss + token_loss(sight.tokens, batch)


def _mostly_none(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of logits [L, C] and labels [L]. Class 0, none, has a small weight."""
    weight = torch.ones(logits.shape[-1], device=logits.device)
    weight[0] = NONE_WEIGHT
    return functional.cross_entropy(logits, labels, weight)


def token_loss(tokens: Tensor, batch: SeenBatch) -> Tensor:
    """The loss of the token head [B, T, 211]."""
    *fields, place = torch.split(tokens.float(), [*TOKEN, 2], dim=-1)
    labels = batch.tokens
    loss = torch.zeros((), device=tokens.device)
    for flag in (0, 3):
        known = labels[..., flag] >= 0
        if known.any():
            guesses = fields[flag][..., 0][known]
            loss = loss + functional.binary_cross_entropy_with_logits(guesses, labels[..., flag][known].float())
    anchors, glyphs = labels[..., 0] == 1, labels[..., 3] == 1
    for index, logits in enumerate(fields):
        there = anchors if index < 3 else glyphs
        if index in (0, 3) or not there.any():
            continue
        if 6 <= index < 6 + POSITIONS:
            loss = loss + 0.6 * _mostly_none(logits[there], labels[..., index][there])
        else:
            loss = loss + 0.3 * functional.cross_entropy(logits[there], labels[..., index][there])
    if anchors.any():
        loss = loss + 10 * functional.mse_loss(place[anchors], batch.places[anchors])
    return loss


@torch.no_grad()
def seeing_scores(sight: Sight, batch: SeenBatch) -> dict[str, float]:
    """The fraction of right predictions for each kind of label."""
    glyph = batch.dense[..., 0] > 0
    dense = sight.dense
    glyphs = dense[..., :CHARACTERS].argmax(-1)[glyph] == batch.dense[..., 0][glyph]
    order = dense[..., -1 - POSITIONS :].argmax(-1)[glyph] == batch.dense[..., 3][glyph]
    *fields, _ = torch.split(sight.tokens.float(), [*TOKEN, 2], dim=-1)
    guesses = torch.stack([f.argmax(-1) if f.shape[-1] > 1 else (f[..., 0] > 0).long() for f in fields], dim=-1)
    right = guesses == batch.tokens
    known, anchors, spells = batch.tokens[..., 0] >= 0, batch.tokens[..., 0] == 1, batch.tokens[..., 3] == 1
    characters = slice(6, 6 + POSITIONS)
    written = batch.tokens[spells][:, characters] > 0
    return {
        "glyph": glyphs.float().mean().item(),
        "order": order.float().mean().item(),
        "anchor": right[known][:, 0].float().mean().item(),
        "colour": right[anchors][:, 1].float().mean().item(),
        "shape": right[anchors][:, 2].float().mean().item(),
        "spelled": right[known][:, 3].float().mean().item(),
        "owner": right[spells][:, 4:6].all(-1).float().mean().item(),
        "character": right[spells][:, characters][written].float().mean().item(),
        "spelling": right[spells][:, characters].all(-1).float().mean().item(),
    }
