"""The model's configuration is read with the defaults of transformers; what cannot be reproduced is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import TinyCheckpoint, save_checkpoint
from support.export.changed_checkpoint import change_json, refusal
from transformers import AutoConfig

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.checkpoint.config import read_model_config
from uhd_edge.export.tower_config import TowerConfig


def test_defaults_are_those_of_transformers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "minicpmv4_6", "vision_config": {}, "text_config": {"model_type": "qwen3_5_text"}})
    )
    theirs = AutoConfig.from_pretrained(tmp_path)
    ours = read_model_config(tmp_path)
    vision = theirs.vision_config
    assert (ours.tower.hidden, ours.tower.intermediate) == (vision.hidden_size, vision.intermediate_size)
    assert (ours.tower.layers, ours.tower.heads) == (vision.num_hidden_layers, vision.num_attention_heads)
    assert (ours.tower.patch, ours.tower.table_side) == (vision.patch_size, vision.image_size // vision.patch_size)
    assert (ours.tower.insert_layer, ours.tower.epsilon) == (vision.insert_layer_id, vision.layer_norm_eps)
    assert (ours.default_mode, ours.tied) == (theirs.downsample_mode, theirs.tie_word_embeddings)
    for name in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"):
        assert getattr(ours.text, name) == getattr(theirs.text_config, name)
    for name in ("num_key_value_heads", "head_dim", "linear_num_value_heads", "linear_num_key_heads"):
        assert getattr(ours.text, name) == getattr(theirs.text_config, name)
    assert [ours.text.is_linear(layer) for layer in range(ours.text.num_hidden_layers)] == [
        kind == "linear_attention" for kind in theirs.text_config.layer_types
    ]


def test_the_insertion_layer_of_the_whole_model_overrides_the_vision_towers(folder: Path) -> None:
    change_json(folder / "config.json", insert_layer_id=2, vision_config__insert_layer_id=0)
    assert AutoConfig.from_pretrained(folder).vision_config.insert_layer_id == 2
    assert open_checkpoint(folder).config.tower.insert_layer == 2


def test_the_default_mode_is_the_checkpoints(folder: Path) -> None:
    change_json(folder / "config.json", downsample_mode="4x")
    assert open_checkpoint(folder).config.default_mode == "4x"


@pytest.mark.parametrize("found", ["minicpmv4_8", "llava", "minicpmv", None, 3, [], {}])
def test_another_architecture_is_refused_by_name(folder: Path, found: object) -> None:
    change_json(folder / "config.json", model_type=found)
    assert f"architecture {found!r} is not supported; only minicpmv4_6 (MiniCPM-V 4.6), minicpmv4_7" in refusal(folder)


def test_another_text_model_is_refused_by_name(folder: Path) -> None:
    change_json(folder / "config.json", text_config__model_type="llama")
    assert "text model 'llama' is not supported; only qwen3_5_text and qwen3 are" in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"drop_vision_last_layer": True}, "drop_vision_last_layer: true is not supported"),
        ({"vision_config__window_kernel_size": [2, 4]}, r"window_kernel_size: [2, 4] is not supported"),
        ({"merge_kernel_size": [4, 4]}, r"merge_kernel_size: [4, 4] is not supported"),
        ({"merger_times": 2}, "merger_times: 2 is not supported; only 1 is"),
        ({"merger_times": 0}, "merger_times: Input should be greater than or equal to 1, found 0"),
        ({"vision_config__num_attention_heads": 5}, "hidden_size 48 cannot be divided by num_attention_heads 5"),
        ({"insert_layer_id": 3}, "insert_layer_id: no layer 3 among the 3 vision layers"),
        ({"insert_layer_id": -1}, "insert_layer_id: no layer -1 among the 3 vision layers"),
        ({"vision_config__image_size": 13}, "image_size 13 is smaller than patch_size 14"),
        ({"vision_config__hidden_act": "relu"}, "vision_config.hidden_act"),
        ({"vision_config__num_channels": 4}, "vision_config.num_channels"),
        ({"vision_config__num_hidden_layers": 10**12}, "vision_config.num_hidden_layers"),
        ({"vision_config__hidden_size": "48"}, "vision_config.hidden_size"),
        ({"vision_config": None}, "vision_config"),
        ({"text_config": 3}, "text_config"),
        ({"text_config__layer_types": ["full_attention"]}, "has 1 entries for 4 layers"),
        ({"text_config__use_sliding_window": True}, "text_config: use_sliding_window"),
        ({"downsample_mode": "64x"}, "downsample_mode"),
        ({"quantization_config": {"quant_method": "awq"}}, "the checkpoint is quantized with AWQ"),
    ],
    ids=str,
)
def test_a_configuration_that_is_not_reproduced_is_refused(folder: Path, changes: dict[str, Any], reason: str) -> None:
    change_json(folder / "config.json", **changes)
    message = refusal(folder)
    assert reason in message
    assert str(folder / "config.json") in message


def test_sizes_of_the_tower_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    tiny = TinyCheckpoint(table_side=8, vision_layers=2, insert_layer=0)
    with open_checkpoint(save_checkpoint(tmp_path / "checkpoint", tiny)) as opened:
        assert opened.config.tower == TowerConfig(
            hidden=48,
            intermediate=80,
            layers=2,
            heads=4,
            patch=14,
            channels=3,
            table_side=8,
            insert_layer=0,
            window=4,
            merge=4,
            merge_rounds=1,
            llm_hidden=64,
        )
