"""A Qwen3.5 with attention alone gets a layer that changes nothing, because llama.cpp needs a recurrent one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from support.checkpoints import TinyCheckpoint, save_checkpoint
from support.export.logits import PROMPT, reference_logits
from transformers import AutoModelForCausalLM, AutoTokenizer

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.language_model.idle_layer import add_idle_layer, needs_idle_layer
from uhd_edge.export.language_model.text_checkpoint import write_text_checkpoint

if TYPE_CHECKING:
    from pathlib import Path


def test_the_idle_layer_changes_no_logit_in_transformers(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "checkpoint", TinyCheckpoint("qwen3_5_text", attention="all"))
    with open_checkpoint(folder) as checkpoint:
        config = checkpoint.config
        assert needs_idle_layer(config.text)
        content, tensors = add_idle_layer(config.text, config.text_config, checkpoint)
        write_text_checkpoint(folder, tensors, content, tmp_path / "text")
    ids = AutoTokenizer.from_pretrained(tmp_path / "text")(PROMPT).input_ids
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "text", dtype=torch.float32).eval()
    assert model.config.layer_types == ["full_attention"] * 4 + ["linear_attention"]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(logits, reference_logits(folder, ids), atol=1e-5)


@pytest.mark.parametrize("kind", ["qwen3", "hybrid"])
def test_other_models_stay_as_they_are(kind: str, request: pytest.FixtureRequest) -> None:
    with open_checkpoint(request.getfixturevalue(f"{kind}_checkpoint")) as checkpoint:
        assert not needs_idle_layer(checkpoint.config.text)
