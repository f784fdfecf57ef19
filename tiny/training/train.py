"""Train uhd-tiny: `python -m uhd_edge.tiny.training.train FOLDER`.

The folder holds the state of the run. When it is started again with the same folder, the run
continues where it stopped. On the same machine, the same seed gives the same run. It runs on a
CPU or on a GPU.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import torch

from uhd_edge.export.reuse import reuse_initialisation
from uhd_edge.tiny.training.optimizers import share_of_rate
from uhd_edge.tiny.training.recipe import KINDS, RECIPE, Stage
from uhd_edge.tiny.training.saved_model import save_checkpoint
from uhd_edge.tiny.training.steps import Scores, step_loss
from uhd_edge.tiny.training.tower_start import CONFIG
from uhd_edge.tiny.training.training_state import TrainingState, load_state, new_state, save_state
from uhd_edge.tiny.world.conversations import Encodes
from uhd_edge.tiny.world.tokenizer import train_tokenizer

SAVED_EVERY = 100  # steps
REPORTED_EVERY = 50


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder for the state of the run, its log and the checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    state = train(arguments.folder, RECIPE, arguments.seed, torch.device(arguments.device))
    seer, reader = state.model.cpu().seer, state.model.reader
    save_checkpoint(arguments.folder / "checkpoint", seer.tower, seer.connector, reader.text.state_dict())


def train(folder: Path, recipe: tuple[Stage, ...], seed: int, device: torch.device) -> TrainingState:
    """Run the recipe to its end, starting where the run in `folder` stopped."""
    tokenizer = train_tokenizer()
    state = new_state(seed, tokenizer, device)
    if (folder / "state.pt").exists():
        load_state(state, folder / "state.pt")
    while state.stage < len(recipe):
        run_stage(state, recipe[state.stage], tokenizer, seed, folder)
        state.stage, state.step = state.stage + 1, 0
        save_state(state, folder / "state.pt")
    return state


def run_stage(state: TrainingState, stage: Stage, tokenizer: Encodes, seed: int, folder: Path) -> None:
    """Run the steps of a stage, beginning with `state.step`."""
    if stage.inserts and state.step == 0:
        insert_compressor(state)
    state.seeing.rate, state.reading.rate = stage.rate, stage.text_rate
    seen: dict[str, Scores] = {}
    started = time.monotonic()
    while state.step < stage.steps:
        name = one_step(state, stage, tokenizer, f"{seed}/{stage.name}/{state.step}", seen)
        state.step += 1
        if state.step % SAVED_EVERY == 0:
            save_state(state, folder / "state.pt")
        if state.step % REPORTED_EVERY == 0 or state.step == stage.steps:
            minutes = round((time.monotonic() - started) / 60, 2)
            line = {"stage": stage.name, "step": state.step, "minutes": minutes, "last": name, "right": seen}
            with (folder / "training.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            seen = {}


def one_step(state: TrainingState, stage: Stage, tokenizer: Encodes, seed: str, seen: dict[str, Scores]) -> str:
    """Train one step on a kind of batch that is drawn by `seed`. Returns its name, and puts its scores into `seen`."""
    name = random.Random(seed).choices(list(stage.mix), list(stage.mix.values()))[0]
    torch.manual_seed(random.Random(f"{seed}/noise").randrange(2**31))
    loss, scores = step_loss(state.model, tokenizer, KINDS[name], stage, seed)
    loss.backward()  # type: ignore[no-untyped-call]
    share = share_of_rate(state.step / stage.steps, decay=stage.decay)
    state.seeing.step(share)
    state.reading.step(share)
    seen[name] = {"loss": round(loss.item(), 3), **{key: round(value, 3) for key, value in scores.items()}}
    return name


def insert_compressor(state: TrainingState) -> None:
    """Initialise the compressor from the layer before it."""
    tower = state.model.seer.tower
    layer = tower.encoder.layers[CONFIG.insert_layer]
    tower.vit_merger.load_state_dict(reuse_initialisation(layer.state_dict(), CONFIG.window))


if __name__ == "__main__":
    main()
