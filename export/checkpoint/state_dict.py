"""Reads the tensors of a state dict that torch has saved in a file (`.pt`), and nothing else: no pickled code runs."""

from __future__ import annotations

import pickle
import re
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from uhd_edge.engines.extras import extra_needed
from uhd_edge.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

# The types' names in safetensors; a tensor of another type is named by torch's word for it.
TYPES = {"torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16"}
# Keys under which a training's whole state holds the model's, and the beginnings of names in wrapped models.
HOLDERS = ("module", "model", "state_dict", "model_state_dict")
WRAPPED = "module."
SAVE_AGAIN = "save the model's state dict alone, torch.save(model.state_dict(), FILE)"


@dataclass(frozen=True)
class StateDict:
    """Tensors of a file, mapped into memory and read one at a time. `close` lets go of the file."""

    file: Path
    _tensors: dict[str, Any] = field(repr=False)

    def describe(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and type of each tensor."""
        return {
            name: (tuple(tensor.shape), TYPES.get(str(tensor.dtype), str(tensor.dtype)))
            for name, tensor in self._tensors.items()
        }

    def get_tensor(self, name: str) -> NDArray[Any]:
        """Read one tensor in its stored type: float32, float16, or bfloat16 of `ml_dtypes`."""
        import ml_dtypes
        import torch

        tensor = self._tensors[name].detach().contiguous()
        array: NDArray[Any]
        if tensor.dtype == torch.bfloat16:
            array = tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        else:
            array = tensor.numpy()
        return array

    def close(self) -> None:
        """Let go of the file. No tensor can be read after that."""
        self._tensors.clear()


def open_state_dict(file: Path) -> StateDict:
    """Open the state dict in `file`; raises `CheckpointError` for anything that is not tensors by their names."""
    with extra_needed("export", "reading a .pt file"):
        import torch
    try:
        with file.open("rb") as opened:
            is_archive = zipfile.is_zipfile(opened)
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({error.strerror})") from error
    if not is_archive:  # torch's own message is about memory mapping
        reason = "not in the format of torch.save since torch 1.6, a zip archive"
        raise CheckpointError(f"{file}: cannot be read ({reason}); copy it again, or {SAVE_AGAIN}")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"{found[1]} among them" if found else "which torch cannot read as such"
        raise CheckpointError(f"{file}: holds more than tensors, {what}; it is not run: {SAVE_AGAIN}") from error
    except (RuntimeError, ValueError, EOFError, OSError) as error:
        raise CheckpointError(f"{file}: cannot be read ({_reason(error)}); copy it again, or {SAVE_AGAIN}") from error
    return StateDict(file, _tensors(file, content))


def _tensors(file: Path, content: object) -> dict[str, Any]:
    from torch import Tensor, strided

    if not isinstance(content, dict) or not content:
        raise CheckpointError(f"{file}: holds no state dict but a {type(content).__name__}; {SAVE_AGAIN}")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise CheckpointError(f"{file}: {_held(content)}; {SAVE_AGAIN}")
        if tensor.layout != strided or tensor.device.type != "cpu":
            raise CheckpointError(f"{file}: {name} is not stored as plain numbers ({tensor.layout}); {SAVE_AGAIN}")
    wrapped = next((name for name in content if name.startswith(WRAPPED)), None)
    if wrapped is not None:
        raise CheckpointError(
            f"{file}: {wrapped} is the name in a wrapped model (DeepSpeed, DistributedDataParallel); "
            "save that of the module inside, engine.module.state_dict()"
        )
    return dict(content)


def _held(content: Mapping[Any, object]) -> str:
    """Say what is there instead of tensors by their names."""
    holder = next((key for key in HOLDERS if isinstance(content.get(key), dict)), None)
    if holder is not None:
        return f"holds a training's whole state, the model's under {holder!r}"
    return "holds other things beside tensors"


def _reason(error: Exception) -> str:
    """The first sentence of torch's message."""
    lines = str(error).splitlines()
    return lines[0].partition(". ")[0] if lines else type(error).__name__
