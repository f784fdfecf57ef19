"""Draws the batch of a step by its seed: in this process, or ahead of time in others."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from uhd_edge.tiny.training.joining import PictureBatch, picture_batch
from uhd_edge.tiny.training.reading import ReadBatch, read_batch
from uhd_edge.tiny.training.recipe import KINDS, Kind, Stage
from uhd_edge.tiny.training.seeing import SeenBatch, seen_batch
from uhd_edge.tiny.world.batches import pinned
from uhd_edge.tiny.world.conversations import Encodes
from uhd_edge.tiny.world.drawing import quick_noise
from uhd_edge.tiny.world.questions import ask
from uhd_edge.tiny.world.scenes import draw_scene

AHEAD = 4  # batches that each process draws ahead

Batch = SeenBatch | ReadBatch | PictureBatch


@dataclass(frozen=True)
class Drawn:
    """The batch of a step, and the name of its kind."""

    name: str
    batch: Batch

    def pin_memory(self) -> Drawn:
        """For `DataLoader`: a copy that a GPU reads from while the CPU goes on."""
        return Drawn(self.name, pinned(self.batch))


class Steps(Dataset[Drawn]):
    """The batches of a stage by the number of their step. Which process draws one makes no difference."""

    def __init__(self, stage: Stage, seed: int, tokenizer: Encodes, kinds: Mapping[str, Kind] = KINDS) -> None:
        self.stage, self.seed, self.tokenizer = stage, seed, tokenizer
        self.kinds = {name: kinds[name] for name in stage.mix}

    def __getitem__(self, step: int) -> Drawn:
        """Draw the batch of a step."""
        seed = f"{self.seed}/{self.stage.name}/{step}"
        name = random.Random(seed).choices(list(self.stage.mix), list(self.stage.mix.values()))[0]
        return Drawn(name, draw_batch(self.kinds[name], self.tokenizer, seed))


def draw_batch(kind: Kind, tokenizer: Encodes, seed: str) -> Batch:
    """Draw a batch of a kind by its seed."""
    if kind.source == "crowded":
        return draw_views(kind, seed)
    if kind.source == "symbols":
        return read_batch(
            tokenizer,
            seed,
            kind.count,
            kind.worlds,
            compress=kind.compress,
            asked=kind.asked,
            max_slices=kind.max_slices,
            view_side=kind.view_side,
        )
    pictures = draw_pictures(kind, tokenizer, seed)
    if kind.source == "views":
        (views,) = pictures.groups
        return views
    return pictures


def draw_views(kind: Kind, seed: str) -> SeenBatch:
    """Draw a batch of a `crowded` kind."""
    rows, columns = random.Random(seed).choice(kind.grids)
    share, crowd = kind.text_share, kind.crowd
    return seen_batch(seed, kind.count, rows, columns, compress=kind.compress, text_share=share, crowd=crowd)


def draw_pictures(kind: Kind, tokenizer: Encodes, seed: str) -> PictureBatch:
    """Draw a batch of a `pictures` kind."""
    scenes = [draw_scene(f"{seed}/{index}", kind.worlds[index % len(kind.worlds)]) for index in range(kind.count)]
    questions = [
        [ask(scene, asked, f"{seed}/{index}/{number}") for number, asked in enumerate(kind.asked)]
        for index, scene in enumerate(scenes)
    ]
    return picture_batch(
        tokenizer,
        scenes,
        questions,
        compress=kind.compress,
        max_slices=kind.max_slices,
        view_side=kind.view_side,
        spell=True,
        noise=quick_noise,
    )


@contextmanager
def drawn_ahead(steps: Steps, first: int, device: torch.device, workers: int) -> Iterator[Iterator[Drawn]]:
    """The batches of a stage's steps from number `first` on, drawn by `workers` processes; by this one for 0."""
    loader = DataLoader(
        steps,
        batch_size=None,
        sampler=range(first, steps.stage.steps),
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        collate_fn=_as_it_is,
        pin_memory=device.type == "cuda",
    )
    batches = iter(loader)
    try:
        yield batches
    finally:
        del batches  # which ends the processes


def _as_it_is(drawn: Any) -> Any:
    return drawn
