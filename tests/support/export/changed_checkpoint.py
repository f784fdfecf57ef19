"""Changes the files of a checkpoint, and returns the message with which it is then refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.runtime.errors import CheckpointError

FILE = "model.safetensors"
FC1 = "model.vision_tower.encoder.layers.0.mlp.fc1.weight"


def change_json(file: Path, **changes: Any) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    for name, value in changes.items():
        *path, last = name.split("__")
        inner = content
        for part in path:
            inner = inner[part]
        inner[last] = value
    file.write_text(json.dumps(content))


def change_tensors(folder: Path, changes: dict[str, torch.Tensor | None]) -> None:
    tensors = {**load_file(folder / FILE), **changes}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, folder / FILE, metadata={"format": "pt"})


def refusal(folder: Path | str) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message
