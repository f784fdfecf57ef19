"""Opens and checks a checkpoint of `minicpmv4_6` or `minicpmv4_7`, and reads its tensors one at a time."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uhd_edge.export.checkpoint.config import CONFIG, ModelConfig, read_model_config
from uhd_edge.export.checkpoint.derived import refuse_derived_tensors
from uhd_edge.export.checkpoint.hub import download, is_hub_name
from uhd_edge.export.checkpoint.json_file import read_object
from uhd_edge.export.checkpoint.processor import ProcessorConfig, read_processor_config
from uhd_edge.export.checkpoint.tensors import HEAD, Shape, differences, expected_tensors
from uhd_edge.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TENSOR_TYPES = ("F32", "F16", "BF16")

# Tensors that are not needed: those of Qwen3.5's multi-token prediction (neither transformers nor
# llama.cpp runs it here), and the frequencies of rotary embeddings, which follow from the configuration.
IGNORED = re.compile(r"(model\.)?mtp\.|.*rotary_emb\.inv_freq$")


@dataclass(frozen=True)
class _Stored:
    """Where a tensor is stored: an open file, and the tensor's name in it."""

    file: Any
    name: str
    shape: Shape
    type: str


@dataclass(frozen=True)
class Checkpoint:
    """An open checkpoint whose tensors fit its configuration. Close it, or use it in a `with` statement.

    `config` comes from `config.json`, `processor` from the files of the tokenizer and the image
    processor.
    """

    folder: Path
    config: ModelConfig
    processor: ProcessorConfig
    _tensors: dict[str, _Stored] = field(repr=False)
    _files: ExitStack = field(repr=False)

    @property
    def names(self) -> Sequence[str]:
        """The model's tensors, by their names in `MiniCPMV4_6ForConditionalGeneration`, without a tied output layer."""
        return list(self._tensors)

    def tensor(self, name: str) -> NDArray[Any]:
        """Read one tensor in its stored type: float32, float16, or bfloat16 of `ml_dtypes`.

        Raises `CheckpointError` when it cannot be read.
        """
        stored = self._tensors[name]
        with _readable(self.folder):
            tensor: NDArray[Any] = stored.file.get_tensor(stored.name)
        return tensor

    def close(self) -> None:
        """Close the files. No tensor can be read after that."""
        self._files.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_checkpoint(source: str | Path) -> Checkpoint:
    """Open a folder, or download a checkpoint by its Hugging Face name such as `openbmb/MiniCPM-V-4.6`.

    Raises `CheckpointError`, with a message of one line, when there is no such checkpoint, when it
    has another architecture, when a file is broken, or when tensors are missing, unexpected or of
    another shape than `config.json` says.
    """
    folder = _find_folder(source)
    config = read_model_config(folder)
    processor = read_processor_config(folder, patch_size=config.tower.patch)
    with ExitStack() as files:
        tensors = _open_tensors(folder, files)
        refuse_derived_tensors(folder, read_object(folder / CONFIG), tensors)
        if config.tied:
            tensors.pop(HEAD, None)  # some checkpoints store it all the same; transformers overwrites it
        _check_tensors(folder, config, tensors)
        return Checkpoint(folder, config, processor, tensors, files.pop_all())


def _find_folder(source: str | Path) -> Path:
    try:
        folder = Path(source).expanduser()
        if folder.is_dir():
            return folder
        found = folder.exists()
    except (
        OSError,
        RuntimeError,
    ) as error:  # the name is too long, a parent folder has no permission, an unknown ~user
        raise CheckpointError(f"{source}: not a folder that can be opened ({error})") from error
    if found:
        raise CheckpointError(f"{folder}: this is a file; a checkpoint is a folder")
    if isinstance(source, str) and is_hub_name(source):
        return download(source)
    raise CheckpointError(f"{folder}: no such checkpoint folder")


def _open_tensors(folder: Path, files: ExitStack) -> dict[str, _Stored]:
    """The needed tensors, by their names in `MiniCPMV4_6ForConditionalGeneration`."""
    import ml_dtypes  # noqa: F401 - gives numpy the type bfloat16
    from safetensors import safe_open

    tensors: dict[str, _Stored] = {}
    for shard in _shards(folder):
        with _readable(shard):
            file = files.enter_context(safe_open(shard, framework="np"))
            for name in file.keys():  # noqa: SIM118 - not a mapping
                entry = file.get_slice(name)
                tensors[name] = _Stored(file, name, tuple(entry.get_shape()), entry.get_dtype())
    needed = {name: stored for name, stored in tensors.items() if not IGNORED.match(name)}
    if any(name.startswith("vision_tower.") for name in needed):  # saved as `MiniCPMV4_6Model`
        needed = {name if name == HEAD else f"model.{name}": stored for name, stored in needed.items()}
    return needed


def _shards(folder: Path) -> list[Path]:
    """The files that hold the weights. Beside a single file an index counts for nothing, as in transformers."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).exists():
        raise CheckpointError(f"{folder}: neither {WEIGHTS} nor {INDEX} is there; only safetensors can be read")
    weights = read_object(folder / INDEX).get("weight_map")
    if not isinstance(weights, dict) or not weights or not all(isinstance(name, str) for name in weights.values()):
        raise CheckpointError(f"{folder / INDEX}: weight_map does not name files; copy or download it again")
    names = sorted(set(weights.values()))
    missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder}: {', '.join(missing)} is missing; copy or download the checkpoint again")
    return [folder / name for name in names]


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{file}: cannot be read ({reason}); copy or download the checkpoint again") from error


def _check_tensors(folder: Path, config: ModelConfig, tensors: dict[str, _Stored]) -> None:
    found = {name: stored.shape for name, stored in tensors.items()}
    if problems := differences(expected_tensors(config), found):
        raise CheckpointError(f"{folder}: tensors do not fit config.json: {problems}")
    others = sorted({stored.type for stored in tensors.values()} - set(TENSOR_TYPES))
    if others:
        read = ", ".join(TENSOR_TYPES)
        raise CheckpointError(f"{folder}: has tensors of type {', '.join(others)}; only {read} can be read")
