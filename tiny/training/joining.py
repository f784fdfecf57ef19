"""Stage "joining": trains tower, connector and language model together to answer questions about pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from uhd_edge.tiny.training.losses import seeing_loss, symbol_loss
from uhd_edge.tiny.training.reading import Reader, find_images
from uhd_edge.tiny.training.seeing import TOKEN_GAIN, SeenBatch, Seer, Sight, label_views
from uhd_edge.tiny.world.conversations import Encodes, Packed, pack, prefix_ids
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.questions import Question
from uhd_edge.tiny.world.scenes import Scene
from uhd_edge.tiny.world.symbols import SPREAD
from uhd_edge.tiny.world.views import PATCH, VIEW_SIDE, View, compute_position_ids, cut_views, plan_views

if TYPE_CHECKING:
    from uhd_edge.export.connectors import ConnectorRound

LONGER = 3.0  # the lowest cosine of an empty view in INT8 goes from 0.993 to 0.9991
EMPTY_GREY = 150  # of an empty view: the middle of the backgrounds


@dataclass(frozen=True)
class PictureBatch:
    """Pictures cut into views, with packed questions.

    `groups[g]` holds the views that have the same number of rows and columns; `order[g]` holds
    their indices in the batch.
    """

    groups: list[SeenBatch]
    order: list[list[int]]
    packed: Packed
    image_places: Tensor
    questions: list[list[Question]]
    compress: bool


class Joined(nn.Module):
    """The whole model, with the tower's training heads."""

    def __init__(self, seer: Seer, reader: Reader) -> None:
        super().__init__()
        self.seer = seer
        self.reader = reader

    @property
    def _last_linear(self) -> nn.Linear:
        """What writes the connector's embeddings."""
        return cast("ConnectorRound", self.seer.connector.mlp[-1]).linear_2

    @torch.no_grad()
    def speak_up(self) -> None:
        """Make what the connector says larger, as much as the symbols' tables grew while the language model learned.

        They grow to several times their first size. A connector that begins as it was drawn would need
        most of its steps to get there. The token head reads what it read before.
        """
        grown = float(self.reader.symbols.alphabet[1:].square().mean().sqrt()) / SPREAD
        self._last_linear.weight.mul_(grown)
        self._last_linear.bias.mul_(grown)
        self.seer.token_head.weight.div_(grown)

    @torch.no_grad()
    def lengthen_nothing(self) -> None:
        """Make the tokens of views that show nothing `LONGER` times as long, by a vector that is added to every token.

        Symbolic tokens that say nothing are zero, and the connector's are short, so that a small error in them is a
        large one in their direction. The token head reads what it read before.
        """
        head, side = self.seer.token_head, VIEW_SIDE // PATCH
        grey = torch.full((1, VIEW_SIDE, VIEW_SIDE, 3), EMPTY_GREY, dtype=torch.uint8, device=head.weight.device)
        ids = {compress: compute_position_ids(side, side, 4 if compress else 2) for compress in (True, False)}
        empty = [self.seer(grey, ids[compress].to(grey.device), compress).embeddings for compress in ids]
        added = (LONGER - 1) * torch.stack([tokens.mean(dim=(0, 1)) for tokens in empty]).mean(dim=0)
        self._last_linear.bias.add_(added)
        head.bias.sub_(TOKEN_GAIN * head.weight @ added)

    def forward(self, batch: PictureBatch) -> tuple[Tensor, list[Sight]]:
        """Logits [L, vocabulary] at the labelled positions, and the outputs of the tower's heads by group."""
        seen = [self.seer(group.pixels, group.position_ids, batch.compress) for group in batch.groups]
        views: dict[int, Tensor] = {}
        for order, sight in zip(batch.order, seen, strict=True):
            views |= dict(zip(order, sight.embeddings, strict=True))
        image = torch.cat([views[index] for index in range(len(views))])
        return self.reader.logits(batch.packed, image, batch.image_places), seen


def picture_batch(
    tokenizer: Encodes,
    scenes: list[Scene],
    questions: list[list[Question]],
    *,
    compress: bool,
    max_slices: int = 9,
    view_side: int = VIEW_SIDE,
    spell: bool = False,
    noise: Callable[[Scene], np.ndarray] | None = None,
) -> PictureBatch:
    """Draw the scenes, with `noise` as `draw_picture` takes it, and lay out their questions."""
    shown: list[tuple[Scene, View]] = []
    pixels: list[np.ndarray] = []
    prefixes = []
    for scene in scenes:
        views, grid = plan_views(scene.width, scene.height, compress=compress, max_slices=max_slices, side=view_side)
        shown += [(scene, view) for view in views]
        pixels += cut_views(draw_picture(scene, noise), views, grid)
        prefixes.append(prefix_ids(tokenizer, views, grid, 4 if compress else 2))
    order: dict[tuple[int, int], list[int]] = {}
    for index, (_, view) in enumerate(shown):
        order.setdefault((view.rows, view.columns), []).append(index)
    groups = [
        label_views(np.stack([pixels[i] for i in members]), [shown[i] for i in members], compress)
        for members in order.values()
    ]
    packed = pack(tokenizer, prefixes, questions, spell=spell)
    images = find_images(tokenizer, packed)
    return PictureBatch(groups, list(order.values()), packed, images, questions, compress)


def joined_loss(
    model: Joined, batch: PictureBatch, logits: Tensor, seen: list[Sight], *, seeing: float, symbols: float
) -> Tensor:
    """The loss of a batch of pictures.

    It is the cross-entropy of the answers, and of what questions foretell of them, plus
    `seeing` times the losses of the tower's heads, in which the distance from the symbolic tokens has
    the weight `symbols`.
    """
    loss = functional.cross_entropy(logits.float(), batch.packed.wanted)
    views = sum(len(order) for order in batch.order)
    for group, order, sight in zip(batch.groups, batch.order, seen, strict=True):
        part = seeing_loss(sight, group) + symbols * symbol_loss(model.reader.symbols, sight.embeddings, group)
        loss = loss + seeing * len(order) / views * part
    return loss
