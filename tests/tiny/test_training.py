"""Training that is resumed gives exactly the same result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uhd_edge.tiny.training.batches import Steps
from uhd_edge.tiny.training.recipe import KINDS, Stage
from uhd_edge.tiny.training.train import Plan, one_step, run_stage
from uhd_edge.tiny.training.training_state import load_state, new_state, save_state
from uhd_edge.tiny.world.tokenizer import train_tokenizer

MINIATURE = Stage("miniature", 2, {"single": 0.5, "crowded 4x": 0.5}, rate=1e-3, text_rate=1e-3, seeing=0.5)


def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MINIATURE.mix:
        monkeypatch.setitem(KINDS, name, replace(KINDS[name], count=2, asked=("code", "extreme")))
    tokenizer = train_tokenizer()
    whole = new_state(0, tokenizer, torch.device("cpu"))
    run_stage(whole, MINIATURE, Plan(0), tmp_path)

    stopped = new_state(0, tokenizer, torch.device("cpu"))
    stopped.seeing.rate, stopped.reading.rate = MINIATURE.rate, MINIATURE.text_rate
    one_step(stopped, MINIATURE, Steps(MINIATURE, 0, tokenizer)[0], 0, 0.0)
    stopped.step = 1
    save_state(stopped, tmp_path / "state.pt")
    resumed = new_state(1, tokenizer, torch.device("cpu"))
    load_state(resumed, tmp_path / "state.pt")
    run_stage(resumed, MINIATURE, Plan(0, workers=1), tmp_path)

    assert resumed.step == whole.step == 2
    ours = resumed.model.state_dict()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, ours[name]), name
    assert len((tmp_path / "training.jsonl").read_text().splitlines()) == 2
