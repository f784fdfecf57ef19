"""The loss of one training step, for each source of batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

from uhd_edge.tiny.training.batches import Batch
from uhd_edge.tiny.training.joining import Joined, PictureBatch, joined_loss
from uhd_edge.tiny.training.losses import seeing_loss, seeing_scores, symbol_loss
from uhd_edge.tiny.training.precision import mixed_precision
from uhd_edge.tiny.training.reading import ReadBatch, answer_scores, blurred, code_loss
from uhd_edge.tiny.training.recipe import Stage
from uhd_edge.tiny.training.seeing import SeenBatch, Sight
from uhd_edge.tiny.world.conversations import Packed
from uhd_edge.tiny.world.questions import Question

Scores = dict[str, float]
Scoring = Callable[[], Scores]


def step_loss(model: Joined, batch: Batch, stage: Stage) -> tuple[Tensor, Scoring]:
    """The loss of a batch on the model's device, and a function that gives the share of right predictions.

    The shares are by kind of label or question. They are for the log: computing them waits for a GPU.
    """
    if isinstance(batch, SeenBatch):
        return _crowded(model, batch, stage)
    if isinstance(batch, ReadBatch):
        return _symbols(model, batch, stage)
    return _pictures(model, batch, stage)


def _crowded(model: Joined, batch: SeenBatch, stage: Stage) -> tuple[Tensor, Scoring]:
    with mixed_precision(batch.dense.device.type):
        sight = model.seer(batch.pixels, batch.position_ids, batch.compressed)
    loss = seeing_loss(sight, batch, stage.tokens)
    if stage.symbols:
        loss = loss + stage.symbols * symbol_loss(model.reader.symbols, sight.embeddings, batch)
    return stage.seeing * loss, partial(seeing_scores, Sight(*(output.detach() for output in sight)), batch)


def _symbols(model: Joined, batch: ReadBatch, stage: Stage) -> tuple[Tensor, Scoring]:
    with mixed_precision(batch.image_places.device.type):
        image = blurred(model.reader.symbols(batch.words, batch.image_places.shape[0]))
        read = model.reader.read(batch.packed, image, batch.image_places)
        logits = model.reader.likely(read[batch.packed.labelled])
    loss = functional.cross_entropy(logits.float(), batch.packed.wanted)
    if stage.codes:
        loss = loss + stage.codes * code_loss(model.reader.symbols, read, batch.packed)
    return loss, partial(_shares, logits.detach(), batch.packed, batch.questions)


def _pictures(model: Joined, batch: PictureBatch, stage: Stage) -> tuple[Tensor, Scoring]:
    with mixed_precision(batch.image_places.device.type):
        logits, seen = model(batch)
    loss = joined_loss(model, batch, logits, seen, seeing=stage.seeing, symbols=stage.symbols)
    return loss, partial(_shares, logits.detach(), batch.packed, batch.questions)


def _shares(logits: Tensor, packed: Packed, questions: list[list[Question]]) -> Scores:
    scores = answer_scores(logits, packed, questions)
    return {kind: sum(right) / len(right) for kind, right in scores.items()}
