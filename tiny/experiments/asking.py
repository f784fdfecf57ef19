"""Asks a trained row about pictures that training never saw, through the frozen language model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from uhd_edge.tiny.experiments.rows import Row
from uhd_edge.tiny.experiments.world import ROW_KINDS, asked_kind
from uhd_edge.tiny.training.batches import draw_pictures, draw_views
from uhd_edge.tiny.training.joining import Joined
from uhd_edge.tiny.training.losses import seeing_scores
from uhd_edge.tiny.training.reading import answer_scores
from uhd_edge.tiny.world.conversations import Encodes

TOGETHER = 20  # scenes in a batch


@dataclass(frozen=True)
class Amount:
    """How many scenes are asked about, with a question of every kind each, and how many views of text are read."""

    scenes: int = 100
    views: int = 64


@torch.no_grad()
def ask_row(model: Joined, row: Row, tokenizer: Encodes, amount: Amount) -> dict[str, Any]:
    """How many answers are right by kind of question, [right, asked], and shares of what the heads read.

    The scenes and questions are the same for every row and seed. An answer is right if greedy decoding
    gives it exactly.
    """
    model.eval()
    right: dict[str, list[int]] = {}
    for start in range(0, amount.scenes, TOGETHER):
        kind = asked_kind(min(TOGETHER, amount.scenes - start), slices=row.slices)
        batch = draw_pictures(kind, tokenizer, f"measured/experiments/{start}")
        logits, _ = model(batch)
        for name, exact in answer_scores(logits.float(), batch.packed, batch.questions).items():
            count = right.setdefault(name, [0, 0])
            count[0], count[1] = count[0] + sum(exact), count[1] + len(exact)
    return {"right": right, "read": _read(model, row, amount.views)}


def _read(model: Joined, row: Row, views: int) -> dict[str, float]:
    kind = replace(ROW_KINDS["text slices" if row.slices else "text"], count=views * (4 if row.slices else 1))
    batch = draw_views(kind, "measured/experiments/read")
    scores = seeing_scores(model.seer(batch.pixels, batch.position_ids, batch.compressed), batch)
    return {name: round(share, 4) for name, share in scores.items()}
