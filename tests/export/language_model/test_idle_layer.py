"""A Qwen3.5 with attention alone: llama.cpp needs a recurrent layer, so it gets one that changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import pytest
import torch
from support.checkpoints import TinyCheckpoint, save_checkpoint
from support.export.logits import PROMPT, reference_logits
from transformers import AutoModelForCausalLM, AutoTokenizer

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.language_model import conversion
from uhd_edge.export.language_model.idle_layer import add_idle_layer, needs_idle_layer
from uhd_edge.export.language_model.text_checkpoint import write_text_checkpoint
from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.language_model import LanguageModel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with attention in every layer."""
    tiny = TinyCheckpoint("qwen3_5_text", attention="all")
    return save_checkpoint(tmp_path_factory.mktemp("dense") / "checkpoint", tiny)


def test_the_idle_layer_changes_no_logit_in_transformers(folder: Path, tmp_path: Path) -> None:
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


def test_a_file_without_a_recurrent_layer_is_refused_before_llama_cpp_ends_the_program(
    folder: Path, tmp_path: Path
) -> None:
    """As llama.cpp's converter writes it, which others have run: it loads, and no question comes to its end."""
    file = tmp_path / "plain.gguf"
    said = "a Qwen3.5 with attention in every layer, with which llama.cpp ends the program"
    with open_checkpoint(folder) as checkpoint:
        with patch.object(conversion, "needs_idle_layer", lambda _: False):
            conversion.convert_language_model(
                checkpoint, file, llm_type="f32", tokenizer_pre=None, scratch=tmp_path, progress=lambda _: None
            )
        with pytest.raises(ModelError, match=f"it: {said}; leave out --llm"):
            conversion.check_language_model(file, checkpoint, name="it")
    with pytest.raises(ModelError, match=f"{said}; export the bundle again"):
        LanguageModel(file, threads=1)


@pytest.mark.parametrize("kind", ["qwen3", "hybrid"])
def test_other_models_stay_as_they_are(kind: str, request: pytest.FixtureRequest) -> None:
    with open_checkpoint(request.getfixturevalue(f"{kind}_checkpoint")) as checkpoint:
        assert not needs_idle_layer(checkpoint.config.text)
