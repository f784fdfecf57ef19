"""Step 0: the tower learns to see, with heads that are thrown away afterwards."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from uhd_edge.tiny.drawing import draw_picture
from uhd_edge.tiny.labels import POSITIONS, dense_labels, slot_labels
from uhd_edge.tiny.scenes import (
    ALPHABET,
    BASELINE,
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
from uhd_edge.tiny.tower_start import CONFIG, new_connector, new_tower
from uhd_edge.tiny.views import PATCH, View, block_order, patches_of, position_ids_of

CHARACTERS = 1 + len(ALPHABET)
COLOUR_CLASSES = 1 + len(COLOUR_NAMES)
SHAPE_CLASSES = 1 + len(SHAPES)
DENSE = (CHARACTERS, COLOUR_CLASSES, SHAPE_CLASSES)
SLOT = (COLOUR_CLASSES, SHAPE_CLASSES, *[CHARACTERS] * POSITIONS, 2, 2)
TEXT_SIZES = (16, 17, 18, 20, 22, 24, 26, 28, 32, 36, 40)
NONE_WEIGHT = 0.2  # of a patch that shows nothing, in the dense losses


@dataclass(frozen=True)
class SeenBatch:
    """Views of one grid with their labels, in block order.

    `patches` [B, N, 588]; `position_ids` [N]; `dense` int64 [B, N, 3]; `slots` int64 [B, T, 10];
    `places` float [B, T, 2], where T = N / 16 with compression, N / 4 without.
    """

    patches: Tensor
    position_ids: Tensor
    dense: Tensor
    slots: Tensor
    places: Tensor


class Seer(nn.Module):
    """Tower and connector with the heads of this step."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.tower = new_tower(seed)
        self.connector = new_connector(seed)
        self.patch_head = nn.Linear(CONFIG.hidden, sum(DENSE))
        self.cell_head = nn.Linear(CONFIG.hidden, CONFIG.window * sum(DENSE))
        self.slot_head = nn.Linear(CONFIG.llm_hidden, 1 + sum(SLOT) + 2)

    def forward(self, patches: Tensor, position_ids: Tensor, compress: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Dense logits [B, N, 49], slot logits [B, T, 192], embeddings [B, T, 256]."""
        features = self.tower.encode(patches, position_ids.expand(patches.shape[0], -1), compress=compress)
        head = self.cell_head if compress else self.patch_head
        dense = head(features).reshape(patches.shape[0], patches.shape[1], -1)
        embeddings = self.connector(features)
        return dense, self.slot_head(embeddings), embeddings


def crowded_world(rows: int, columns: int, dice: np.random.Generator) -> World:
    """Pictures of one view, full of objects, some of them cut off by the border."""
    largest = int(dice.choice([22, 30, 40]))
    smallest = max(16, largest - 12)
    few = 224 * 224 // (largest * largest * 14)
    return World((0, 0), (1, 4 + 2 * few), (smallest, largest), float(dice.choice([0.0, 0.5])))


def text_scene(seed: str, size: tuple[int, int]) -> Scene:
    """Lines of random characters, every one a label."""
    dice = random.Random(seed)
    scene = draw_scene(seed, World((0, 0), (0, 0), (16, 40)), size)
    written = []
    down = dice.uniform(-10, 10)
    while down < size[1]:
        font, letters = dice.choice(FONTS), dice.choice(TEXT_SIZES)
        down += letters * dice.uniform(0.85, 1.3)
        across = dice.uniform(-30, 20)
        while across < size[0]:
            code = "".join(dice.choice(ALPHABET) for _ in range(dice.randint(1, 6)))
            width = code_width(code, font, letters)
            baseline = down - BASELINE * letters
            middle = across + width / 2
            written.append(Object("black", NO_SHAPE, (0, 0, 0), middle, baseline, 0.0, code, font, letters))
            across += width + dice.uniform(0.2, 2.0) * letters
    return replace(scene, objects=tuple(written))


def seen_batch(
    seed: str, count: int, rows: int, columns: int, *, compress: bool, text_share: float = 0.5
) -> SeenBatch:
    """A batch of crowded views by seed."""
    view = View(rows, columns, 0, 0, columns * PATCH, rows * PATCH)
    dice = np.random.default_rng(list(seed.encode()))
    scenes = []
    size = (columns * PATCH, rows * PATCH)
    for index in range(count):
        if dice.random() < text_share:
            scenes.append(text_scene(f"{seed}/{index}", size))
            continue
        world = crowded_world(rows, columns, dice)
        scenes.append(draw_scene(f"{seed}/{index}", world, size))
    pixels = np.stack([np.asarray(draw_picture(scene)) for scene in scenes])
    return label_views(pixels, [(scene, view) for scene in scenes], compress)


def label_views(pixels: np.ndarray, shown: list[tuple[Scene, View]], compress: bool) -> SeenBatch:
    """uint8 [B, H, W, 3] views of one grid and what they show -> a batch."""
    rows, columns = shown[0][1].rows, shown[0][1].columns
    dense = torch.from_numpy(np.stack([dense_labels(scene, view) for scene, view in shown]))
    slots = [slot_labels(scene, view, 4 if compress else 2) for scene, view in shown]
    fields = torch.from_numpy(np.stack([field for field, _ in slots]))
    places = torch.from_numpy(np.stack([place for _, place in slots]))
    block = 4 if compress else 2
    return SeenBatch(
        patches=patches_of(pixels, block),
        position_ids=position_ids_of(rows, columns, block),
        dense=block_order(dense, block),
        slots=fields,
        places=places,
    )


def seeing_loss(dense: Tensor, slots: Tensor, batch: SeenBatch) -> Tensor:
    """Cross-entropy of the dense heads and the slot head, plus the place's squared error."""
    loss = torch.zeros(())
    for part, logits in enumerate(dense.float().split(DENSE, dim=-1)):
        weight = torch.ones(logits.shape[-1])
        weight[0] = NONE_WEIGHT
        loss = loss + functional.cross_entropy(logits.flatten(0, 1), batch.dense[..., part].flatten(), weight)
    return loss + slot_loss(slots, batch)


def slot_loss(slots: Tensor, batch: SeenBatch) -> Tensor:
    """The loss of the slot head [B, T, 192]."""
    presence, *fields, place = slots.float().split((1, *SLOT, 2), dim=-1)
    known = batch.slots[..., 0] >= 0
    loss = functional.binary_cross_entropy_with_logits(presence[..., 0][known], batch.slots[..., 0][known].float())
    there = batch.slots[..., 0] == 1
    for index, logits in enumerate(fields):
        share = 0.5 if 2 <= index < 2 + POSITIONS else 0.3
        loss = loss + share * functional.cross_entropy(logits[there], batch.slots[..., 1 + index][there])
    return loss + 10 * functional.mse_loss(place[there], batch.places[there])


@torch.no_grad()
def seeing_scores(dense: Tensor, slots: Tensor, batch: SeenBatch) -> dict[str, float]:
    """Shares right: glyphs, presence, colours, shapes, code characters, whole codes."""
    glyph = batch.dense[..., 0] > 0
    glyphs = dense[..., :CHARACTERS].argmax(-1)[glyph] == batch.dense[..., 0][glyph]
    presence, *fields, _ = slots.float().split((1, *SLOT, 2), dim=-1)
    there = batch.slots[..., 0] == 1
    guesses = torch.stack([logits[there].argmax(-1) for logits in fields], dim=-1)
    truth = batch.slots[there][:, 1:]
    right = guesses == truth
    codes = truth[:, 2] > 0
    known = batch.slots[..., 0] >= 0
    found = (presence[..., 0] > 0)[known] == (batch.slots[..., 0] > 0)[known]
    return {
        "glyph": glyphs.float().mean().item(),
        "presence": found.float().mean().item(),
        "colour": right[:, 0].float().mean().item(),
        "shape": right[:, 1].float().mean().item(),
        "character": right[:, 2:7][truth[:, 2:7] > 0].float().mean().item(),
        "code": right[codes][:, 2:7].all(-1).float().mean().item(),
    }
