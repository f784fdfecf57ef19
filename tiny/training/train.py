"""Train uhd-tiny: `python -m uhd_edge.tiny.training.train FOLDER`.

The folder holds the state of the run. When it is started again with the same folder, the run
continues where it stopped. On the same CPU, the same seed gives the same run, whatever the number
of processes that draw; on a GPU, the same batches. With --minutes, every stage ends when its share
of the time is over, and its learning rate falls as if the time were its steps. --compressor and
--insert-after train another of the ways that LLaVA-UHD v4 compares; `uhd export` takes its checkpoint.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from uhd_edge.engines.threads import usable_cores
from uhd_edge.export.reuse import first_weights
from uhd_edge.export.tower_config import TowerConfig
from uhd_edge.runtime.bundles.compressors import COMPRESSOR_NAMES
from uhd_edge.tiny.training.batches import Drawn, Steps, drawn_ahead
from uhd_edge.tiny.training.optimizers import share_of_rate
from uhd_edge.tiny.training.recipe import KINDS, RECIPES, Kind, Stage
from uhd_edge.tiny.training.report import Report
from uhd_edge.tiny.training.saved_model import save_checkpoint
from uhd_edge.tiny.training.steps import Scoring, step_loss
from uhd_edge.tiny.training.tower_start import CONFIG
from uhd_edge.tiny.training.training_state import OtherRecipeError, TrainingState, load_state, new_state, save_state
from uhd_edge.tiny.world.batches import on_device
from uhd_edge.tiny.world.tokenizer import RememberingEncoder, train_tokenizer

SAVED_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class Plan:
    """How a run is carried out: the processes that draw beside it, its limit in minutes if it has one, its tower."""

    seed: int
    workers: int = 0
    minutes: float | None = None
    tower: TowerConfig = CONFIG
    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS)


def main() -> None:
    """The command line."""
    parser = _parser()
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    on_gpu = device.type != "cpu"
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    workers = arguments.workers
    if workers is None:
        workers = usable_cores() if on_gpu else 0
    arguments.folder.mkdir(parents=True, exist_ok=True)
    recipe = tuple(
        replace(stage, steps=round(stage.steps * arguments.scale))
        for stage in RECIPES[arguments.recipe or ("large" if on_gpu else "small")]
    )
    tower = replace(CONFIG, compressor=arguments.compressor, insert_layer=arguments.insert_after)
    try:
        state = train(arguments.folder, recipe, Plan(arguments.seed, workers, arguments.minutes, tower), device)
    except OtherRecipeError as error:
        parser.error(str(error))
    seer, reader = state.model.cpu().seer, state.model.reader
    save_checkpoint(arguments.folder / "checkpoint", seer.tower, seer.connector, reader.text.state_dict())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder for the state of the run, its log and the checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--recipe", choices=RECIPES, help="default: large on a GPU, small on a CPU")
    parser.add_argument("--workers", type=int, help="processes that draw; default: one for each core on a GPU, else 0")
    parser.add_argument("--threads", type=int, help="on a CPU; default: one for each core")
    parser.add_argument("--minutes", type=float, help="end after so many minutes")
    parser.add_argument("--compressor", choices=COMPRESSOR_NAMES, default=CONFIG.compressor)
    parser.add_argument("--insert-after", type=int, choices=range(CONFIG.layers), default=CONFIG.insert_layer)
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the steps of every stage by this")
    return parser


def train(folder: Path, recipe: tuple[Stage, ...], plan: Plan, device: torch.device) -> TrainingState:
    """Run the recipe to its end, starting where the run in `folder` stopped."""
    state = new_state(plan.seed, train_tokenizer(), device, plan.tower)
    state.stages = tuple(stage.name for stage in recipe)
    if (folder / "state.pt").exists():
        load_state(state, folder / "state.pt")
    started = time.monotonic()
    while state.stage < len(recipe):
        deadline = None
        if plan.minutes is not None:
            left, rest = started + 60 * plan.minutes - time.monotonic(), recipe[state.stage :]
            deadline = time.monotonic() + left * rest[0].share / sum(stage.share for stage in rest)
        run_stage(state, recipe[state.stage], plan, folder, deadline)
        state.stage, state.step = state.stage + 1, 0
        save_state(state, folder / "state.pt")
    return state


def run_stage(state: TrainingState, stage: Stage, plan: Plan, folder: Path, deadline: float | None = None) -> None:
    """Run the steps of a stage, beginning with `state.step`, until `deadline` on the monotonic clock at the latest."""
    if stage.inserts and state.step == 0:
        insert_compressor(state)
    if stage.speaks and state.step == 0:
        state.model.speak_up()
    if stage.lengthens and state.step == 0:
        state.model.lengthen_nothing()
    state.seeing.rate, state.reading.rate = stage.rate, stage.text_rate
    report = Report(folder / "training.jsonl", stage.name)
    started = saved = time.monotonic()
    steps = Steps(stage, plan.seed, RememberingEncoder(), plan.kinds)
    with drawn_ahead(steps, state.step, state.device, plan.workers) as batches:
        for drawn in batches:
            now = time.monotonic()
            passed = 0.0 if deadline is None else (now - started) / max(deadline - started, 1e-9)
            if passed >= 1:
                break
            done = max(state.step / stage.steps, passed)
            report.saw(drawn.name, *one_step(state, stage, drawn, plan.seed, done))
            state.step += 1
            report.write_sometimes(state.step)
            if now > saved + SAVED_EVERY:
                save_state(state, folder / "state.pt")
                saved = now
    report.write(state.step)


def one_step(state: TrainingState, stage: Stage, drawn: Drawn, seed: int, done: float) -> tuple[torch.Tensor, Scoring]:
    """Train one step, when the fraction `done` (0..1) of the stage is over. Returns its loss and scores."""
    noise = random.Random(f"{seed}/{stage.name}/{state.step}/noise").randrange(2**31)
    torch.manual_seed(noise)
    loss, scoring = step_loss(state.model, on_device(drawn.batch, state.device), stage)
    loss.backward()  # type: ignore[no-untyped-call]
    share = share_of_rate(done, decay=stage.decay)
    state.seeing.step(share)
    state.reading.step(share)
    return loss.detach(), scoring


def insert_compressor(state: TrainingState) -> None:
    """Initialise the compressor from the layer before it, as far as it takes its weights from there."""
    tower = state.model.seer.tower
    layer = tower.encoder.layers[tower.config.insert_layer]
    taken = first_weights(tower.config.compressor, layer.state_dict(), CONFIG.window)
    tower.vit_merger.load_state_dict(taken, strict=False)


if __name__ == "__main__":
    main()
