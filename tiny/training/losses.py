"""The losses of the tower's heads, and how often the heads are right.

None of them waits for a GPU: where a label is missing, it has no weight.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from uhd_edge.tiny.training.seeing import CHARACTERS, DENSE, TOKEN, SeenBatch, Sight
from uhd_edge.tiny.training.tower_start import CONFIG
from uhd_edge.tiny.world.conversations import IGNORED
from uhd_edge.tiny.world.labels import POSITIONS
from uhd_edge.tiny.world.symbols import Symbols

NONE_WEIGHT = 0.2  # the weight of class 0, none, in the losses


def seeing_loss(sight: Sight, batch: SeenBatch, tokens: float = 1.0) -> Tensor:
    """Cross-entropy of the heads, plus the squared error of the anchors' places.

    `tokens` is the weight of all that is not read from single patches: of spelling and of the image tokens.
    """
    loss = patch_loss(sight, batch)
    return loss + tokens * (spelling_loss(sight, batch) + token_loss(sight.tokens, batch)) if tokens else loss


def patch_loss(sight: Sight, batch: SeenBatch) -> Tensor:
    """The loss of the dense head [B, N, 55]."""
    loss = torch.zeros((), device=sight.dense.device)
    for part, logits in enumerate(torch.split(sight.dense.float(), list(DENSE), dim=-1)):
        share = 0.5 if part in (1, 2) else 2.0
        loss = loss + share * _classes(logits, batch.dense[..., part], NONE_WEIGHT)
    return loss


def spelling_loss(sight: Sight, batch: SeenBatch) -> Tensor:
    """The loss of the characters by their position in the code, in each 2x2 cell."""
    loss = torch.zeros((), device=sight.spelling.device)
    cells = batch.dense.reshape(batch.dense.shape[0], -1, CONFIG.window, len(DENSE))  # [B, N/4, 4, 4]
    for position in range(POSITIONS):
        written = (cells[..., 0] * (cells[..., 3] == 1 + position)).amax(dim=2)
        loss = loss + 0.6 * _classes(sight.spelling[:, :, position].float(), written, NONE_WEIGHT)
    return loss


def token_loss(tokens: Tensor, batch: SeenBatch) -> Tensor:
    """The loss of the token head [B, T, 211]."""
    *fields, place = torch.split(tokens.float(), [*TOKEN, 2], dim=-1)
    labels = batch.tokens
    loss = torch.zeros((), device=tokens.device)
    for flag in (0, 3):
        known = labels[..., flag] >= 0
        truth = labels[..., flag].clamp(min=0).float()
        each = functional.binary_cross_entropy_with_logits(fields[flag][..., 0], truth, reduction="none")
        loss = loss + _mean(each, known)
    anchors, glyphs = labels[..., 0] == 1, labels[..., 3] == 1
    for index, logits in enumerate(fields):
        if index in (0, 3):
            continue
        known = labels[..., index].masked_fill(~(anchors if index < 3 else glyphs), IGNORED)
        if 6 <= index < 6 + POSITIONS:
            loss = loss + 0.6 * _classes(logits, known, NONE_WEIGHT)
        else:
            loss = loss + 0.3 * _classes(logits, known, 1.0)
    return loss + 10 * _mean((place - batch.places).square().mean(dim=-1), anchors)


def symbol_loss(symbols: Symbols, embeddings: Tensor, batch: SeenBatch) -> Tensor:
    """Squared distance of the connector's embeddings [B, T, width] from the symbolic tokens, relative to their size."""
    fields = batch.tokens.flatten(0, 1)
    with torch.no_grad():
        truth = symbols.by_labels(fields, batch.places.flatten(0, 1))
    flat = embeddings.flatten(0, 1).float()
    known = (fields[:, 0] >= 0) & (fields[:, 3] >= 0)
    spoken = known & ((fields[:, 0] == 1) | (fields[:, 3] == 1))
    scale = _mean(truth.square().sum(dim=-1), spoken)
    wrong = _mean((flat - truth).square().sum(dim=-1), spoken)
    loss = 0.3 * _mean(flat.square().sum(dim=-1), known & ~spoken) + wrong
    return loss / torch.where(spoken.any(), scale, 1.0)


def _classes(logits: Tensor, labels: Tensor, none_weight: float) -> Tensor:
    """The weighted mean cross-entropy of logits [.., C] and labels [..]. Class 0, none, has its own weight."""
    weight = torch.ones(logits.shape[-1], device=logits.device)
    weight[0] = none_weight
    flat = labels.flatten()
    total = functional.cross_entropy(
        logits.reshape(flat.shape[0], -1), flat, weight, ignore_index=IGNORED, reduction="sum"
    )
    weights = weight[flat.clamp(min=0)] * (flat != IGNORED)
    return total / weights.sum().clamp(min=none_weight)


def _mean(values: Tensor, known: Tensor) -> Tensor:
    """The mean of the values where they are known; 0 where none is."""
    return (values * known).sum() / known.sum().clamp(min=1)


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
