"""Checkpoints of LLaVA-UHD v4's own code: what they say is read, and what they leave open or cannot be is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from support.export.changed_checkpoint import change_json, change_tensors, refusal
from support.llava.stored import FILE

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint, read_config
from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.errors import ExportError


@pytest.fixture
def llava(llava_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint to change."""
    return shutil.copytree(llava_checkpoint, tmp_path / "checkpoint")


@pytest.mark.parametrize("fixture", ["llava_checkpoint", "llava_baseline"])
def test_every_tensor_that_is_used_has_one_name_here(fixture: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(fixture)
    used = [name for name in load_names(folder) if not name.startswith(("vit_merger.mlp.", "vit_merger.layer_norm2."))]
    with open_checkpoint(folder) as checkpoint, safe_open(folder / FILE, framework="np") as file:
        stored = sorted(file.get_tensor(name).tobytes() for name in used)
        assert sorted(checkpoint.tensor(name).tobytes() for name in checkpoint.names) == stored
        assert all(name.startswith("model.") or name == "lm_head.weight" for name in checkpoint.names)


def test_prompt_tokens_and_stops_are_those_of_the_code(llava_checkpoint: Path) -> None:
    with open_checkpoint(llava_checkpoint) as checkpoint:
        prompt = checkpoint.processor.prompt
        assert (prompt.tokens.image, prompt.tokens.slice_start, prompt.use_image_id) == ("<unk>", "<slice>", True)
        assert len(prompt.stop_ids) == 2


def test_a_last_layer_that_is_left_out_does_not_run(llava: Path) -> None:
    last = [name for name in load_names(llava) if name.startswith("vpm.encoder.layers.2.")]
    change_json(llava / "config.json", drop_vision_last_layer=True)
    assert "16 unexpected: vpm.encoder.layers.2." in refusal(llava)
    change_tensors(llava, dict.fromkeys(last))
    assert open_checkpoint(llava).config.tower.layers == 2
    content = json.loads((llava / "config.json").read_text())
    del content["drop_vision_last_layer"]
    (llava / "config.json").write_text(json.dumps(content))
    assert open_checkpoint(llava).config.tower.layers == 2


def load_names(folder: Path) -> list[str]:
    with safe_open(folder / FILE, framework="np") as file:
        return list(file.keys())  # not a mapping


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"insert_layer_id": None}, "insert_layer_id is missing, the vision layer after which the compressor stands"),
        ({"insert_layer_id": 3}, "insert_layer_id: no layer 3 among the 3 vision layers"),
        ({"vision_config": None}, "vision_config"),
        ({"vision_config__layer_norm_eps": 1e-5}, "layer_norm_eps 1e-05 is not supported; only 1e-06 is"),
        ({"vision_config__num_attention_heads": 5}, "hidden_size 48 cannot be divided by num_attention_heads 5"),
        ({"num_hidden_layers": 5, "layer_types": None}, "11 missing: llm.model.layers.4."),
        ({"text_config": {"model_type": "llama"}}, "text model 'llama' is not supported; only qwen3 is"),
        ({"quantization_config": {"quant_method": "gptq"}}, "the checkpoint is quantized with GPTQ"),
    ],
    ids=str,
)
def test_a_configuration_that_is_not_reproduced_is_refused(llava: Path, changes: dict[str, Any], said: str) -> None:
    change_json(llava / "config.json", **changes)
    assert said in refusal(llava)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resampler.query": torch.ones(64, 64)}, "its connector is a resampler with queries (resampler.query)"),
        ({"resampler.mlp.1.pre_norm.weight": torch.ones(192)}, "its connector merges 2 times after a compressor"),
        ({"apm.layers.0.weight": torch.ones(1)}, "1 unexpected: apm.layers.0.weight"),
        ({"vpm.post_layernorm.bias": None}, "1 missing: vpm.post_layernorm.bias"),
    ],
    ids=["a resampler", "a second round", "another modality", "an incomplete tower"],
)
def test_tensors_of_another_model_are_named_as_they_are_stored(llava: Path, changes: dict[str, Any], said: str) -> None:
    change_tensors(llava, changes)
    assert said in refusal(llava)


def test_before_the_weights_are_there_the_configuration_tells(llava: Path) -> None:
    whole = read_config(llava, load_names(llava))
    (llava / FILE).unlink()
    assert read_config(llava) == whole
    index = {"weight_map": dict.fromkeys(["vpm.a", "llm.a", "resampler.query"], "one.safetensors")}
    (llava / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "its connector is a resampler with queries" in refusal_of_config(llava)


def refusal_of_config(folder: Path) -> str:
    with pytest.raises(Exception, match="resampler") as caught:
        read_config(folder)
    return str(caught.value)


def test_the_baseline_cannot_be_exported_in_4x(llava_baseline: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="has no mode 4x: without a compressor in its tower there is only 16x"):
        export_bundle(llava_baseline, tmp_path / "bundle", modes=["4x"], llm="none.gguf")
    assert not any(tmp_path.iterdir())
