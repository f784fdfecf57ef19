"""One training step for each source of batches: draws a batch by seed, and computes its loss."""

from __future__ import annotations

import random

import torch
from torch import Tensor
from torch.nn import functional

from uhd_edge.tiny.training.joining import Joined, joined_loss, picture_batch, symbol_loss
from uhd_edge.tiny.training.reading import answer_scores, blurred, read_batch
from uhd_edge.tiny.training.recipe import Kind, Stage
from uhd_edge.tiny.training.seeing import seeing_loss, seeing_scores, seen_batch
from uhd_edge.tiny.world.batches import on_device
from uhd_edge.tiny.world.conversations import IGNORED, Encodes, Packed
from uhd_edge.tiny.world.questions import ask
from uhd_edge.tiny.world.scenes import draw_scene

# Rows and columns of crowded views. Half of them are square.
GRIDS = (*[(16, 16)] * 6, (12, 16), (16, 12), (12, 20), (20, 12), (16, 20), (20, 16))
Scores = dict[str, float]


def step_loss(model: Joined, tokenizer: Encodes, kind: Kind, stage: Stage, seed: str) -> tuple[Tensor, Scores]:
    """Draw a batch by `seed`. Returns its loss, and the share of right predictions by kind of label or question."""
    if kind.source == "crowded":
        return _crowded(model, kind, stage, seed)
    if kind.source == "symbols":
        return _symbols(model, tokenizer, kind, seed)
    return _pictures(model, tokenizer, kind, stage, seed)


def _crowded(model: Joined, kind: Kind, stage: Stage, seed: str) -> tuple[Tensor, Scores]:
    rows, columns = random.Random(seed).choice(GRIDS)
    device = model.reader.symbols.present.device
    drawn = seen_batch(seed, kind.count, rows, columns, compress=kind.compress, text_share=kind.text_share)
    batch = on_device(drawn, device)
    with torch.autocast(device.type, torch.bfloat16):
        sight = model.seer(batch.patches, batch.position_ids, kind.compress)
    loss = seeing_loss(sight, batch)
    if stage.symbols:
        loss = loss + stage.symbols * symbol_loss(model.reader.symbols, sight.embeddings, batch)
    return stage.seeing * loss, seeing_scores(sight, batch)


def _symbols(model: Joined, tokenizer: Encodes, kind: Kind, seed: str) -> tuple[Tensor, Scores]:
    device = model.reader.symbols.present.device
    drawn = read_batch(
        tokenizer,
        seed,
        kind.count,
        kind.world,
        compress=kind.compress,
        asked=kind.asked,
        max_slices=kind.max_slices,
    )
    batch = on_device(drawn, device)
    with torch.autocast(device.type, torch.bfloat16):
        image = blurred(model.reader.symbols(batch.words, batch.image_tokens))
        logits = model.reader.logits(batch.packed, image, batch.image_mask)
    return _answer_loss(logits, batch.packed), _shares(answer_scores(logits, batch.packed, batch.questions))


def _pictures(model: Joined, tokenizer: Encodes, kind: Kind, stage: Stage, seed: str) -> tuple[Tensor, Scores]:
    device = model.reader.symbols.present.device
    scenes = [draw_scene(f"{seed}/{index}", kind.world) for index in range(kind.count)]
    questions = [
        [ask(scene, asked, f"{seed}/{index}/{number}") for number, asked in enumerate(kind.asked)]
        for index, scene in enumerate(scenes)
    ]
    drawn = picture_batch(tokenizer, scenes, questions, compress=kind.compress, max_slices=kind.max_slices, spell=True)
    batch = on_device(drawn, device)
    with torch.autocast(device.type, torch.bfloat16):
        logits, seen = model(batch)
    loss, _ = joined_loss(model, batch, logits, seen, stage.seeing)
    return loss, _shares(answer_scores(logits, batch.packed, batch.questions))


def _answer_loss(logits: Tensor, packed: Packed) -> Tensor:
    return functional.cross_entropy(logits.float(), packed.labels[packed.labels != IGNORED])


def _shares(scores: dict[str, list[bool]]) -> Scores:
    return {kind: sum(right) / len(right) for kind, right in scores.items()}
