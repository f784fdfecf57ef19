"""A state dict of torch is read beside a base model, tensor by tensor, and nothing in it is run."""

from __future__ import annotations

import os
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.llava.stored import FILE

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import CheckpointError


@pytest.fixture
def base(llava_checkpoint: Path, tmp_path: Path) -> Path:
    """The checkpoint without its weights."""
    return shutil.copytree(llava_checkpoint, tmp_path / "base", ignore=shutil.ignore_patterns(FILE))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "minicpm-v_10000.pt"


def refusal(file: Path, base: Path | None) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(file, base=base)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_state_dict_holds_the_numbers_of_the_folder(
    llava_checkpoint: Path, base: Path, file: Path, dtype: torch.dtype
) -> None:
    stored = OrderedDict((name, tensor.to(dtype)) for name, tensor in load_file(llava_checkpoint / FILE).items())
    stored["llm.model.rotary_emb.inv_freq"] = torch.ones(16)  # of a buffer, which some trainings save too
    torch.save(stored, file)
    with open_checkpoint(file, base=base) as ours, open_checkpoint(llava_checkpoint) as folder:
        assert (ours.config, ours.processor, ours.names) == (folder.config, folder.processor, folder.names)
        for name in ours.names:
            tensor = ours.tensor(name)
            assert f"torch.{tensor.dtype}" == str(dtype)
            expected = torch.from_numpy(folder.tensor(name)).to(dtype).float().numpy()
            assert np.array_equal(tensor.astype(np.float32), expected)


def test_a_bundle_of_a_state_dict_is_that_of_the_folder(
    llava_checkpoint: Path, llava_bundle: Bundle, base: Path, file: Path, tmp_path: Path
) -> None:
    torch.save(load_file(llava_checkpoint / FILE), file)
    bundle = export_bundle(file, tmp_path / "bundle", base=base, llm=llava_bundle.llm_path, precisions=["fp32"])
    assert bundle.manifest.name == "minicpm-v_10000"
    named = {"name": llava_bundle.manifest.name, "llm": llava_bundle.manifest.llm}
    assert bundle.manifest.model_copy(update=named) == llava_bundle.manifest


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_pickled_code_is_refused_and_not_run(base: Path, file: Path, tmp_path: Path) -> None:
    torch.save({"vpm.weight": torch.ones(1), "config": Runs(tmp_path / "made")}, file)
    message = refusal(file, base)
    assert f"{file}: holds more than tensors, posix.mkdir among them; it is not run: save the model's" in message
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"module": {"vpm.weight": torch.ones(1)}, "step": 3}, "holds a training's whole state, the model's under 'mo"),
        ({"vpm.weight": [1.0]}, "holds other things beside tensors"),
        ({"module.vpm.weight": torch.ones(1)}, "module.vpm.weight is the name in a wrapped model"),
        ({"vpm.weight": torch.ones(2).to_sparse()}, "vpm.weight is not stored as plain numbers"),
        ([torch.ones(1)], "holds no state dict but a list"),
        ({}, "holds no state dict but a dict"),
        ({"vpm.weight": torch.ones(1)}, "architecture 'minicpmv' is not supported"),
    ],
    ids=str,
)
def test_what_is_no_state_dict_of_the_model_is_said(base: Path, file: Path, content: Any, said: str) -> None:
    torch.save(content, file)
    assert said in refusal(file, base)


def test_files_that_torch_cannot_read_are_named(base: Path, file: Path) -> None:
    assert refusal(file, base) == f"{file}: no such file"
    torch.save({"vpm.weight": torch.ones(1)}, file)
    whole = file.read_bytes()
    torch.save({"vpm.weight": torch.ones(1)}, file, _use_new_zipfile_serialization=False)
    for content in (b"", b"no file of torch", whole[: len(whole) // 2], file.read_bytes()):
        file.write_bytes(content)
        message = refusal(file, base)
        assert f"{file}: cannot be read (not in the format of torch.save since torch 1.6, a zip archive);" in message
        assert "save the model's state dict alone, torch.save(model.state_dict(), FILE)" in message


def test_a_state_dict_and_its_base_go_together(llava_checkpoint: Path, base: Path, file: Path) -> None:
    torch.save({"vpm.weight": torch.ones(1)}, file)
    assert "is a state dict; name its base model, a folder with config.json and the tokenizer, with --base" in refusal(
        file, None
    )
    assert "needs no base model; --base goes with a state dict" in refusal(llava_checkpoint, base)
    assert "no such checkpoint folder" in refusal(file, base / "none")
