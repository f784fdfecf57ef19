"""What was made from a checkpoint and is none itself is refused with what it is and what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.checkpoints import load_model
from support.export.changed_checkpoint import FC1, FILE, change_json, change_tensors, refusal

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.errors import ModelError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
QUERY = "model.language_model.layers.0.self_attn.q_proj"


def test_a_single_file_beside_an_index_is_taken_as_transformers_takes_it(folder: Path) -> None:
    tensors = load_file(folder / FILE)
    others = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    save_file(others, folder / "model-00001-of-00001.safetensors", metadata={"format": "pt"})
    index = {"weight_map": dict.fromkeys(others, "model-00001-of-00001.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    theirs = dict(load_model(folder).named_parameters())[FC1].detach().numpy()
    assert theirs.any()
    with open_checkpoint(folder) as checkpoint:
        assert np.array_equal(checkpoint.tensor(FC1), theirs)


@pytest.mark.parametrize(
    ("quantization", "kind"),
    [
        ({"quant_method": "awq", "bits": 4}, "quantized with AWQ"),
        ({"quant_method": "gptq", "bits": 4}, "quantized with GPTQ"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "quantized with bitsandbytes"),
        ({"bits": 4}, "is quantized;"),
        (True, "is quantized;"),
    ],
    ids=str,
)
@pytest.mark.parametrize("field", ["quantization_config", "text_config__quantization_config"])
def test_a_quantized_checkpoint_is_refused_by_its_method(
    folder: Path, field: str, quantization: Any, kind: str
) -> None:
    change_json(folder / "config.json", **{field: quantization})
    message = refusal(folder)
    assert kind in message
    assert "take the original one, such as openbmb/MiniCPM-V-4.6, and quantize its language model with" in message


@pytest.mark.parametrize(
    ("place", "written", "original"),
    [
        ("MiniCPM-V-4.6-AWQ", None, "openbmb/MiniCPM-V-4.6"),
        ("minicpm-v-4.6-thinking-gptq-int4", None, "openbmb/MiniCPM-V-4.6-Thinking"),
        ("models--openbmb--MiniCPM-V-4.6-BNB/snapshots/0a1b", None, "openbmb/MiniCPM-V-4.6"),
        ("models--somebody--Tuned-AWQ-4bit/snapshots/0a1b", None, "somebody/Tuned"),
        ("x", "somebody/Tuned-gptq", "somebody/Tuned"),
        ("x", "/home/somebody/Tuned-gptq", "such as openbmb/MiniCPM-V-4.6"),
        ("x", 7, "such as openbmb/MiniCPM-V-4.6"),
    ],
)
def test_the_checkpoint_to_take_instead_is_named(folder: Path, place: str, written: object, original: str) -> None:
    moved = shutil.move(folder, folder.parent / "hub" / place)
    change_json(moved / "config.json", _name_or_path=written, quantization_config={"quant_method": "awq"})
    assert f"take the original one, {original}, and" in refusal(moved)


@pytest.mark.parametrize("end", ["qweight", "weight.absmax", "weight_packed", "g_idx"])
def test_quantized_tensors_are_found_where_the_configuration_is_silent(folder: Path, end: str) -> None:
    change_tensors(folder, {f"{QUERY}.{end}": torch.zeros(4, dtype=torch.uint8)})
    assert f"{QUERY}.{end}: the checkpoint is quantized" in refusal(folder)


@pytest.mark.parametrize(
    ("dtype", "stored", "advice"),
    [
        (
            torch.float8_e4m3fn,
            "F8_E4M3",
            "quantized to FP8; take the original one, openbmb/MiniCPM-V-4.6,",
        ),
        (torch.float8_e5m2, "F8_E5M2", "quantized to FP8; take the original one"),
        (torch.int8, "I8", "the checkpoint is probably quantized; take the original one"),
        (torch.float64, "F64", "save the model again in one of these, model.to(torch.bfloat16).save_pretrained(..)"),
    ],
    ids=str,
)
def test_weights_of_other_types_are_refused_with_what_they_are(
    folder: Path, dtype: torch.dtype, stored: str, advice: str
) -> None:
    moved = Path(shutil.move(folder, folder.parent / "MiniCPM-V-4.6-FP8"))
    tensors = load_file(moved / FILE)
    changed = [FC1, f"{QUERY}.weight"]
    change_tensors(moved, {name: tensors[name].to(dtype) for name in changed})
    message = refusal(moved)
    assert message.startswith(f"{moved}: ")
    assert any(
        f"{name} and 1 other tensors are of type {stored}, but only F32, F16, BF16" in message for name in changed
    )
    assert advice in message


@pytest.mark.parametrize("name", [FILE, "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_told_from_a_damaged_file(folder: Path, name: str) -> None:
    (folder / name).write_bytes(POINTER)
    assert refusal(folder) == (
        f"{folder / name}: is a pointer of Git LFS and not the file itself; run `git lfs pull` in its folder"
    )


def test_a_pointer_in_place_of_a_language_model_is_told_too(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "llm.gguf").write_bytes(POINTER)
    with pytest.raises(ModelError, match=r"llm\.gguf: is a pointer of Git LFS and not the file itself; run"):
        export_bundle(folder, tmp_path / "bundle", llm=tmp_path / "llm.gguf")


def test_pointers_that_are_not_needed_do_no_harm(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(POINTER)
    open_checkpoint(folder).close()


@pytest.mark.parametrize("whole", [True, False], ids=["beside weights", "alone"])
def test_an_adapter_is_refused_with_its_base_and_the_way_to_merge_it(folder: Path, whole: bool) -> None:
    if not whole:
        (folder / "config.json").unlink()
        (folder / FILE).rename(folder / "adapter_model.safetensors")
    change_json(folder / "adapter_config.json", peft_type="LORA", base_model_name_or_path="openbmb/MiniCPM-V-4.6")
    message = refusal(folder)
    assert "is an adapter (LORA), to be merged into openbmb/MiniCPM-V-4.6 first" in message
    assert "merge_and_unload()" in message


@pytest.mark.parametrize("content", ["{}", "[]", "{"])
def test_a_broken_description_of_an_adapter_is_answered_in_one_line(folder: Path, content: str) -> None:
    (folder / "adapter_config.json").write_text(content)
    assert "adapter" in refusal(folder)


@pytest.mark.parametrize(
    ("rename", "reason"),
    [
        ({QUERY + ".weight": QUERY + ".base_layer.weight"}, "holds LoRA layers beside the weights"),
        ({QUERY + ".weight": QUERY + ".lora_A.default.weight"}, "peft's merge_and_unload()"),
        ({QUERY + ".weight": "base_model.model." + QUERY + ".weight"}, "holds LoRA layers beside the weights"),
        ({QUERY + ".weight": "_orig_mod." + QUERY + ".weight"}, "wrapped by torch.compile"),
        ({QUERY + ".weight": QUERY + "._orig_mod.weight"}, "model._orig_mod.save_pretrained(..)"),
        ({QUERY + ".weight": "module." + QUERY + ".weight"}, "wrapped by DataParallel, DistributedDataParallel or"),
        (
            {QUERY + ".weight": "module." + QUERY + ".weight"},
            "model.module.save_pretrained(..), or take module.",
        ),
        (
            {QUERY + ".weight": QUERY.replace("layers", "module.layers") + ".weight"},
            "save the module inside, model.module",
        ),
        (
            {QUERY + ".weight": QUERY + ".module.weight"},
            "wrapped by DataParallel",
        ),
        ({QUERY + ".weight": "model._fsdp_wrapped_module.x.weight"}, "or take _fsdp_wrapped_module. out of the names"),
        ({QUERY + ".weight": QUERY + "._checkpoint_wrapped_module.weight"}, "wrapped by activation checkpointing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrapped_layers_are_refused_with_what_they_are(folder: Path, rename: dict[str, str], reason: str) -> None:
    tensors = load_file(folder / FILE)
    change_tensors(folder, {new: tensors[old] for old, new in rename.items()} | dict.fromkeys(rename))
    message = refusal(folder)
    assert reason in message
    assert next(iter(rename.values())) in message
