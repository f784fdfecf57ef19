"""The text model alone computes the same as inside the whole checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.checkpoints import TinyCheckpoint, save_checkpoint
from support.export.changed_checkpoint import FILE, change_tensors
from support.export.logits import PROMPT, reference_logits
from transformers import AutoModelForCausalLM, AutoTokenizer

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.checkpoint.tensors import TEXT
from uhd_edge.export.language_model.text_checkpoint import write_text_checkpoint
from uhd_edge.runtime.errors import CheckpointError


@pytest.mark.parametrize(("text_type", "tied"), [("qwen3", True), ("qwen3", False), ("qwen3_5_text", False)])
def test_the_text_model_alone_has_the_logits_of_the_whole_checkpoint(
    tmp_path: Path, text_type: str, tied: bool
) -> None:
    tiny = TinyCheckpoint(text_type, tied=tied, text_layers=4 if text_type == "qwen3_5_text" else 2)  # type: ignore[arg-type]
    folder = save_checkpoint(tmp_path / "checkpoint", tiny)
    with open_checkpoint(folder) as checkpoint:
        write_text_checkpoint(folder, checkpoint, checkpoint.config.text_config, tmp_path / "text", shard_bytes=100_000)
    assert len(list((tmp_path / "text").glob("model-*-of-*.safetensors"))) > 1
    ids = AutoTokenizer.from_pretrained(tmp_path / "text")(PROMPT).input_ids
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "text", dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(logits, reference_logits(folder, ids), atol=1e-5)


def test_tensors_keep_their_precision(tmp_path: Path) -> None:
    from safetensors import safe_open

    folder = save_checkpoint(tmp_path / "checkpoint", TinyCheckpoint(text_layers=1, dtype=torch.bfloat16))
    with open_checkpoint(folder) as checkpoint:
        write_text_checkpoint(folder, checkpoint, checkpoint.config.text_config, tmp_path / "text")
    (shard,) = (tmp_path / "text").glob("*.safetensors")
    with safe_open(shard, "pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"BF16"}  # noqa: SIM118


def test_a_text_model_that_cannot_be_converted_is_named(tmp_path: Path) -> None:
    class Nothing:
        names = ()

        def tensor(self, name: str) -> np.ndarray:
            raise KeyError(name)

    with pytest.raises(CheckpointError, match=r"'llama' cannot be converted, only qwen3 and qwen3_5_text can; .*--llm"):
        write_text_checkpoint(tmp_path, Nothing(), {"model_type": "llama"}, tmp_path / "text")


@pytest.mark.parametrize("name", ["embed_tokens.weight", "layers.1.linear_attn.A_log", "layers.3.mlp.down_proj.weight"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_weights_that_are_not_numbers_are_found(
    tmp_path: Path, hybrid_checkpoint: Path, name: str, dtype: torch.dtype
) -> None:
    folder = shutil.copytree(hybrid_checkpoint, tmp_path / "checkpoint")
    whole = load_file(folder / FILE)[f"{TEXT}{name}"]
    broken = whole.to(dtype)
    broken.view(-1)[:2] = torch.tensor([torch.nan, torch.inf])
    change_tensors(folder, {f"{TEXT}{name}": broken})
    with (
        open_checkpoint(folder) as checkpoint,
        pytest.raises(CheckpointError, match=rf"{name}: 2 of {whole.numel()} numbers are NaN or infinite"),
    ):
        write_text_checkpoint(folder, checkpoint, checkpoint.config.text_config, tmp_path / "text")
