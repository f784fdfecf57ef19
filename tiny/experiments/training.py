"""Trains one row for a fixed number of steps, from a saved state if there is one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from uhd_edge.export.reuse import first_weights
from uhd_edge.tiny.experiments.rows import Row
from uhd_edge.tiny.experiments.start import START, load_start
from uhd_edge.tiny.experiments.world import ROW_KINDS
from uhd_edge.tiny.training.batches import Steps
from uhd_edge.tiny.training.recipe import Kind, Stage
from uhd_edge.tiny.training.tower_start import CONFIG
from uhd_edge.tiny.training.train import one_step
from uhd_edge.tiny.training.training_state import TrainingState, new_state
from uhd_edge.tiny.world.conversations import Encodes
from uhd_edge.tiny.world.tokenizer import train_tokenizer

CPU = torch.device("cpu")
RECIPE = Stage(
    "row", 240, {"pictures": 0.5, "crowded": 0.3, "text": 0.2}, rate=2e-3, text_rate=0.0, symbols=3.0, decay=0.4
)


@dataclass(frozen=True)
class Order:
    """How a row is trained: its recipe and kinds of batches, and after how many steps its state is saved."""

    recipe: Stage = RECIPE
    kinds: dict[str, Kind] = field(default_factory=lambda: dict(ROW_KINDS))
    saved_every: int = 20
    start: Path = START


@dataclass
class RowRun:
    """A row on its way: its state, and what has been seen of it, a line every `saved_every` steps."""

    state: TrainingState
    lines: list[dict[str, Any]]


def begin(row: Row, seed: int, start: Path = START) -> RowRun:
    """Return the row before its first step: the tower that sees, a new compressor, connector and heads.

    Seeds draw the new weights and the batches. The language model is the start's and stays as it is.
    """
    state = new_state(seed, train_tokenizer(), CPU, row.tower)
    tower, reader = state.model.seer.tower, state.model.reader
    load_start(tower, reader, start)
    reader.requires_grad_(False)
    if row.compressor is not None and row.reuse:
        layer = tower.encoder.layers[row.insert_layer]
        tower.vit_merger.load_state_dict(first_weights(row.compressor, layer.state_dict(), CONFIG.window), strict=False)
    return RowRun(state, [])


def train_row(row: Row, seed: int, file: Path, tokenizer: Encodes, order: Order | None = None) -> RowRun:
    """Train the row to its end, from what `file` has of it, and save it there on the way and at the end."""
    order = order or Order()
    run = begin(row, seed, order.start)
    if file.exists():
        _load(run, file)
    state, stage = run.state, stage_of(row, order.recipe)
    state.seeing.rate = stage.rate
    steps = Steps(stage, seed, tokenizer, order.kinds)
    for number in range(state.step, stage.steps):
        drawn = steps[number]
        loss, scoring = one_step(state, stage, drawn, seed, number / stage.steps)
        state.step = number + 1
        if state.step % order.saved_every == 0 or state.step == stage.steps:
            shares = {name: round(share, 3) for name, share in scoring().items()}
            run.lines.append({"step": state.step, "batch": drawn.name, "loss": round(loss.item(), 3), **shares})
            _save(run, file)
    return run


def stage_of(row: Row, recipe: Stage) -> Stage:
    """The recipe with batches of the row's own views. Its name gives the batches: all rows have the same."""
    if not row.slices:
        return recipe
    return replace(recipe, mix={f"{name} slices": share for name, share in recipe.mix.items()})


def _save(run: RowRun, file: Path) -> None:
    """Save the run. The file is replaced only when the new one is complete."""
    state = run.state
    values = {"seer": state.model.seer.state_dict(), "optimizer": state.seeing.state()}
    part = file.with_suffix(".part")
    torch.save({**values, "step": state.step, "lines": run.lines}, part)
    part.replace(file)


def _load(run: RowRun, file: Path) -> None:
    values = torch.load(file, map_location="cpu", weights_only=True)
    run.state.model.seer.load_state_dict(values["seer"])
    run.state.seeing.load(values["optimizer"])
    run.state.step, run.lines = values["step"], values["lines"]
