"""The files that hold a checkpoint's tensors, and where in them each tensor is."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from uhd_edge.export.checkpoint.json_file import read_object, read_optional_object
from uhd_edge.export.checkpoint.state_dict import open_state_dict
from uhd_edge.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack

    from numpy.typing import NDArray

    from uhd_edge.export.checkpoint.tensors import Shape

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
STATE_DICTS = (".pt", ".pth", ".bin")


class TensorFile(Protocol):
    """An open file of tensors."""

    def get_tensor(self, name: str) -> NDArray[Any]:
        """Read one tensor."""
        ...


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor is stored: an open file, and the tensor's name in it."""

    file: TensorFile
    name: str
    shape: Shape
    type: str


def find_weights(folder: Path) -> tuple[Path, ...]:
    """The files that hold the weights. Beside a single file an index counts for nothing, as in transformers."""
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if not (folder / INDEX).exists():
        raise CheckpointError(
            f"{folder}: neither {WEIGHTS} nor {INDEX} is there; only safetensors can be read in a folder, which "
            "transformers' save_pretrained(..) writes"
        )
    weights = read_object(folder / INDEX).get("weight_map")
    if not isinstance(weights, dict) or not weights or not all(isinstance(name, str) for name in weights.values()):
        raise CheckpointError(f"{folder / INDEX}: weight_map does not name files; copy or download it again")
    names = sorted(set(weights.values()))
    missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder}: {', '.join(missing)} is missing; copy or download the checkpoint again")
    return tuple(folder / name for name in names)


def indexed_names(folder: Path) -> list[str]:
    """The names of tensors that the index lists, before the files are there; empty without an index."""
    weights = read_optional_object(folder / INDEX).get("weight_map")
    return list(weights) if isinstance(weights, dict) else []


def open_weights(files: Sequence[Path], opened: ExitStack) -> dict[str, StoredTensor]:
    """Open safetensors, or a state dict that torch has saved, until `opened` is closed; returns tensors by name.

    Raises `CheckpointError` when a file cannot be read.
    """
    import ml_dtypes  # noqa: F401 - gives numpy the type bfloat16

    if files[0].suffix in STATE_DICTS:
        state = open_state_dict(files[0])
        opened.callback(state.close)
        return {name: StoredTensor(state, name, *described) for name, described in state.describe().items()}
    from safetensors import safe_open

    tensors: dict[str, StoredTensor] = {}
    for path in files:
        with readable(path):
            file = opened.enter_context(safe_open(path, framework="np"))
            for name in file.keys():  # noqa: SIM118 - not a mapping
                entry = file.get_slice(name)
                tensors[name] = StoredTensor(file, name, tuple(entry.get_shape()), entry.get_dtype())
    return tensors


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Turn what safetensors raises while it reads `file` into a `CheckpointError`."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{file}: cannot be read ({reason}); copy or download the checkpoint again") from error
