"""Weights are read from one file or several, and files that are missing or broken are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from support.checkpoints import TinyCheckpoint, load_model, save_checkpoint
from support.export.changed_checkpoint import FC1, FILE, refusal

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint


@pytest.mark.parametrize("fixture", ["qwen3_checkpoint", "hybrid_checkpoint"])
def test_names_and_tensors_are_those_of_the_model_in_transformers(fixture: str, request: pytest.FixtureRequest) -> None:
    source: Path = request.getfixturevalue(fixture)
    expected = dict(load_model(source).named_parameters())
    with open_checkpoint(source) as checkpoint:
        assert set(checkpoint.names) == set(expected)
        for name in checkpoint.names:
            assert np.array_equal(checkpoint.tensor(name), expected[name].detach().numpy())


def test_weights_in_several_files_are_found_by_their_index(folder: Path, qwen3_checkpoint: Path) -> None:
    (folder / FILE).unlink()
    load_model(qwen3_checkpoint).save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    with open_checkpoint(folder) as split, open_checkpoint(qwen3_checkpoint) as whole:
        assert set(split.names) == set(whole.names)
        assert np.array_equal(split.tensor(FC1), whole.tensor(FC1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_tensors_keep_their_type_and_their_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    source = save_checkpoint(tmp_path / "half", TinyCheckpoint(vision_layers=2, text_layers=1, dtype=dtype))
    theirs = load_file(source / FILE)
    with open_checkpoint(source) as checkpoint:
        for name in checkpoint.names:
            ours = checkpoint.tensor(name)
            assert f"torch.{ours.dtype}" == str(dtype)
            assert np.array_equal(ours.astype(np.float32), theirs[name].float().numpy())


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, "", "{", "[1]", "null", "\xff", "[" * 100_000])
def test_a_missing_or_garbled_file_is_named(folder: Path, name: str, content: str | None) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content.encode("latin-1"))
    assert name in refusal(folder)


def test_weights_in_another_format_are_refused(folder: Path) -> None:
    (folder / FILE).rename(folder / "pytorch_model.bin")
    assert "neither model.safetensors nor model.safetensors.index.json is there" in refusal(folder)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ({"weight_map": {FC1: "model-1.safetensors"}}, "model-1.safetensors is missing"),
        ({"weight_map": {FC1: "../outside.safetensors"}}, "../outside.safetensors is missing"),
        ({"weight_map": {FC1: 3}}, "weight_map does not name files"),
        ({"weight_map": []}, "weight_map does not name files"),
        ({}, "weight_map does not name files"),
    ],
    ids=str,
)
def test_an_index_that_leads_nowhere_is_refused(folder: Path, index: object, reason: str) -> None:
    (folder / FILE).rename(folder.parent / "outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert reason in refusal(folder)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_truncated_weight_file_is_refused_wherever_it_breaks_off(folder: Path, part: float) -> None:
    whole = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(whole[: int(part * len(whole))])
    try:
        assert f"{folder / FILE}: cannot be read" in refusal(folder)
    finally:
        (folder / FILE).write_bytes(whole)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") == f"{tmp_path}/nowhere: no such checkpoint folder"


def test_a_file_is_no_checkpoint(folder: Path) -> None:
    assert "this is a file; a checkpoint is a folder" in refusal(folder / FILE)


def test_a_closed_checkpoint_keeps_no_file_open(folder: Path) -> None:
    def mapped() -> bool:
        return str(folder / FILE) in Path("/proc/self/maps").read_text()

    with open_checkpoint(folder) as checkpoint:
        assert checkpoint.tensor(FC1).shape
        assert mapped()
    assert not mapped()
