"""Asks a trained row about pictures that training never saw, through the frozen language model.

`python -m uhd_edge.tiny.experiments.asking` asks the same of perfect tokens: how far a row could come.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from uhd_edge.tiny.experiments.rows import ROWS, Row
from uhd_edge.tiny.experiments.training import begin
from uhd_edge.tiny.experiments.world import ROW_KINDS, asked_kind
from uhd_edge.tiny.training.batches import draw_pictures, draw_views
from uhd_edge.tiny.training.joining import Joined, PictureBatch
from uhd_edge.tiny.training.losses import seeing_scores
from uhd_edge.tiny.training.reading import Reader, answer_scores
from uhd_edge.tiny.world.conversations import Encodes
from uhd_edge.tiny.world.labels import CROWDED
from uhd_edge.tiny.world.tokenizer import RememberingEncoder

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
    right = _ask(lambda batch: model(batch)[0], tokenizer, amount.scenes, slices=row.slices)
    return {"right": right, "read": _read(model, row, amount.views)}


@torch.no_grad()
def ask_symbols(reader: Reader, tokenizer: Encodes, scenes: int, *, slices: bool) -> dict[str, list[int]]:
    """The same answers where every image token is the symbolic one that a row learns to write."""

    def logits(batch: PictureBatch) -> Tensor:
        tokens: dict[int, Tensor] = {}
        for group, order in zip(batch.groups, batch.order, strict=True):
            fields = group.tokens.masked_fill(group.tokens == CROWDED, 1)  # of two objects, the one that is labelled
            written = reader.symbols.by_labels(fields.flatten(0, 1), group.places.flatten(0, 1))
            tokens |= dict(zip(order, written.unflatten(0, fields.shape[:2]), strict=True))  # type: ignore[no-untyped-call]
        image = torch.cat([tokens[index] for index in range(len(tokens))])
        return reader.logits(batch.packed, image, batch.image_places)

    return _ask(logits, tokenizer, scenes, slices=slices)


def _ask(
    logits: Callable[[PictureBatch], Tensor], tokenizer: Encodes, scenes: int, *, slices: bool
) -> dict[str, list[int]]:
    right: dict[str, list[int]] = {}
    for start in range(0, scenes, TOGETHER):
        kind = asked_kind(min(TOGETHER, scenes - start), slices=slices)
        batch = draw_pictures(kind, tokenizer, f"measured/experiments/{start}")
        for name, exact in answer_scores(logits(batch).float(), batch.packed, batch.questions).items():
            count = right.setdefault(name, [0, 0])
            count[0], count[1] = count[0] + sum(exact), count[1] + len(exact)
    return right


def _read(model: Joined, row: Row, views: int) -> dict[str, float]:
    kind = replace(ROW_KINDS["text slices" if row.slices else "text"], count=views * (4 if row.slices else 1))
    batch = draw_views(kind, "measured/experiments/read")
    scores = seeing_scores(model.seer(batch.pixels, batch.position_ids, batch.compressed), batch)
    return {name: round(share, 4) for name, share in scores.items()}


def main() -> None:
    """The command line."""
    reader = begin(ROWS[0], 0).state.model.reader
    for slices in (False, True):
        right = ask_symbols(reader, RememberingEncoder(), Amount().scenes, slices=slices)
        print(json.dumps({"slices": slices, "right": right}), flush=True)


if __name__ == "__main__":
    main()
