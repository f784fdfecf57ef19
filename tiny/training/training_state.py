"""The state of a run between two steps, and the file it is saved in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from uhd_edge.export.tower_config import TowerConfig
from uhd_edge.runtime.errors import UhdError
from uhd_edge.tiny.training.joining import Joined
from uhd_edge.tiny.training.optimizers import Pair, pair_for
from uhd_edge.tiny.training.reading import Reader
from uhd_edge.tiny.training.seeing import Seer
from uhd_edge.tiny.training.tower_start import CONFIG


class OtherRecipeError(UhdError):
    """A folder has the state of a run of another recipe."""


@dataclass
class TrainingState:
    """The model, its optimizers, and the progress: the next step is number `step` of stage number `stage`.

    `stages` are the names of the recipe's stages.
    """

    model: Joined
    seeing: Pair
    reading: Pair
    stage: int = 0
    step: int = 0
    stages: tuple[str, ...] = ()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.reader.symbols.present.device


def new_state(
    seed: int, tokenizer: PreTrainedTokenizerFast, device: torch.device, config: TowerConfig = CONFIG
) -> TrainingState:
    """The state at the start of a run. `config` may have another compressor, at another place."""
    model = Joined(Seer(seed, config), Reader(seed, tokenizer)).to(device)
    text = torch.nn.ModuleList([model.reader.text, model.reader.symbols])
    return TrainingState(model, pair_for(model.seer, 0.0), pair_for(text, 0.0))


def save_state(state: TrainingState, file: Path) -> None:
    """Save the state. The file is replaced only when the new one is complete."""
    part = file.with_suffix(".part")
    values = {
        "model": state.model.state_dict(),
        "seeing": state.seeing.state(),
        "reading": state.reading.state(),
        "stage": state.stage,
        "step": state.step,
        "stages": list(state.stages),
    }
    torch.save(values, part)
    part.replace(file)


def load_state(state: TrainingState, file: Path) -> None:
    """Load a saved state from `file` into `state`.

    Raises OtherRecipeError if it was saved by a run with other stages, or by a version that did not name them.
    """
    values = torch.load(file, map_location="cpu", weights_only=True)
    stages = values.get("stages", ["unknown"])
    if stages != list(state.stages):
        raise OtherRecipeError(
            f"{file} is the state of a run with the stages {', '.join(stages)}, not {', '.join(state.stages)}: "
            "name another folder, or with --recipe the recipe of that run"
        )
    state.model.load_state_dict(values["model"])
    state.seeing.load(values["seeing"])
    state.reading.load(values["reading"])
    state.stage, state.step = values["stage"], values["step"]
