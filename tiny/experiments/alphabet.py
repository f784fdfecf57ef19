"""What a trained model's image tokens say to its language model, as tables that every row learns to write.

The language model was taught with symbolic tokens (`world/symbols.py`) whose tables are not part of the
checkpoint. They are found again here: its tower writes such tokens, and the scene tells what they say.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from uhd_edge.tiny.experiments.world import ROW_KINDS, asked_kind
from uhd_edge.tiny.measuring.evaluate import load_joined
from uhd_edge.tiny.training.batches import draw_pictures, draw_views
from uhd_edge.tiny.training.joining import Joined
from uhd_edge.tiny.training.recipe import Kind
from uhd_edge.tiny.training.seeing import SeenBatch
from uhd_edge.tiny.world.conversations import Encodes

RATE = 3e-3
TOKENS = 256  # in a step
ROUNDS, STEPS = 25, 2500  # of drawing, of fitting


def load_with_symbols(checkpoint: Path, tokenizer: Encodes, *, rounds: int = ROUNDS, steps: int = STEPS) -> Joined:
    """Load a trained model, with symbols that are as near as can be to the tokens that its tower writes."""
    model = load_joined(checkpoint)
    crowded = replace(ROW_KINDS["crowded"], count=16)
    pictures = [replace(kind, asked=("code",)) for kind in (asked_kind(16, slices=False), Kind("pictures", 16, True))]
    batches: list[SeenBatch] = []
    for number in range(rounds):
        batches.append(draw_views(crowded, f"alphabet/{number}"))
        for kind in pictures:
            batches += draw_pictures(kind, tokenizer, f"alphabet/{number}").groups
    _fit(model, *_written(model, batches), steps)
    return model


@torch.no_grad()
def _written(model: Joined, batches: list[SeenBatch]) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings [L, width] that say something, with their labels [L, 13] and places [L, 2]."""
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for views in batches:
        fields, places = views.tokens.flatten(0, 1), views.places.flatten(0, 1)
        known = (fields[:, 0] >= 0) & (fields[:, 3] >= 0)
        said = known & ((fields[:, 0] == 1) | (fields[:, 3] == 1))
        embeddings = model.seer(views.pixels, views.position_ids, compress=True).embeddings.flatten(0, 1)
        found.append((embeddings[said], fields[said], places[said]))
    embeddings, fields, places = (torch.cat(part) for part in zip(*found, strict=True))
    return embeddings, fields, places


def _fit(model: Joined, embeddings: Tensor, fields: Tensor, places: Tensor, steps: int) -> None:
    symbols = model.reader.symbols
    optimizer = torch.optim.Adam(symbols.parameters(), lr=RATE)
    dice = torch.Generator().manual_seed(0)
    scale = embeddings.square().sum(dim=1).mean()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
        chosen = torch.randint(len(embeddings), (TOKENS,), generator=dice)
        far = symbols.by_labels(fields[chosen], places[chosen]) - embeddings[chosen]
        loss = far.square().sum(dim=1).mean() / scale
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
