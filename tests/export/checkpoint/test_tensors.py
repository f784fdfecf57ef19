"""Which tensors a checkpoint must have, and of which shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.checkpoints import TinyCheckpoint, model_config
from support.export.changed_checkpoint import FC1, FILE, change_json, change_tensors, refusal
from transformers import AutoConfig, AutoTokenizer, MiniCPMV4_6ForConditionalGeneration, MiniCPMV4_6Model

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.checkpoint.config import read_model_config
from uhd_edge.export.checkpoint.tensors import expected_tensors


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attention_bias": True},
        {"layer_types": ["full_attention", "linear_attention", "linear_attention", "full_attention"]},
        {
            "linear_num_key_heads": 1,
            "linear_num_value_heads": 3,
            "linear_value_head_dim": 16,
            "linear_conv_kernel_dim": 3,
        },
        {"head_dim": 24, "num_key_value_heads": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("text_type", ["qwen3", "qwen3_5_text"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_expected_shapes_are_those_of_the_model_in_transformers(
    qwen3_checkpoint: Path, tmp_path: Path, text_type: str, tied: bool, changes: dict[str, Any]
) -> None:
    if text_type == "qwen3" and {"layer_types", "linear_num_key_heads"} & changes.keys():
        changes = {"intermediate_size": 40}  # the others are Qwen3.5's
    tokenizer = AutoTokenizer.from_pretrained(qwen3_checkpoint)
    config = model_config(TinyCheckpoint(text_type, tied=tied), tokenizer)
    for name, value in changes.items():
        setattr(config.text_config, name, value)
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        model = MiniCPMV4_6ForConditionalGeneration(AutoConfig.from_pretrained(tmp_path))
    theirs = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    if tied:
        theirs.pop("lm_head.weight", None)
    assert expected_tensors(read_model_config(tmp_path)) == theirs


def test_a_model_saved_without_its_output_layer_has_the_same_names(folder: Path, qwen3_checkpoint: Path) -> None:
    (folder / FILE).unlink()
    MiniCPMV4_6Model.from_pretrained(qwen3_checkpoint).save_pretrained(folder)
    assert FC1 not in load_file(folder / FILE)
    with open_checkpoint(folder) as checkpoint, open_checkpoint(qwen3_checkpoint) as whole:
        assert set(checkpoint.names) == set(whole.names)
        assert np.array_equal(checkpoint.tensor(FC1), whole.tensor(FC1))


def test_a_tied_output_layer_that_is_stored_nevertheless_is_left_out(folder: Path) -> None:
    change_tensors(folder, {"lm_head.weight": torch.zeros(480, 64)})
    assert "lm_head.weight" not in open_checkpoint(folder).names


def test_multi_token_prediction_is_left_out(folder: Path) -> None:
    change_tensors(folder, {"mtp.fc.weight": torch.zeros(2, 2), "model.mtp.norm.weight": torch.zeros(2)})
    assert not any("mtp" in name for name in open_checkpoint(folder).names)


def test_missing_unexpected_and_wrongly_shaped_tensors_are_listed_together(folder: Path) -> None:
    change_tensors(
        folder,
        {
            FC1: None,
            "model.language_model.norm.weight": None,
            "model.merger.extra": torch.zeros(1),
            "model.merger.mlp.0.linear_1.weight": torch.zeros(3, 5),
        },
    )
    message = refusal(folder)
    assert f"2 missing: model.language_model.norm.weight, {FC1}" in message
    assert "1 unexpected: model.merger.extra" in message
    assert "1 of another shape: model.merger.mlp.0.linear_1.weight [3, 5] instead of [192, 192]" in message


def test_a_long_list_of_tensors_is_cut_and_counted(folder: Path) -> None:
    change_json(folder / "config.json", vision_config__num_hidden_layers=5)
    assert "32 missing: model.vision_tower.encoder.layers.3.layer_norm1.bias," in refusal(folder)
    assert refusal(folder).endswith("and 27 more")


def test_an_untied_output_layer_must_be_there(folder: Path) -> None:
    change_json(folder / "config.json", tie_word_embeddings=False, text_config__tie_word_embeddings=False)
    assert "1 missing: lm_head.weight" in refusal(folder)
