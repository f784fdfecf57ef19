"""Opens and checks a checkpoint of MiniCPM-V 4.6 or 4.7 or LLaVA-UHD v4, and reads its tensors one at a time."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.export.checkpoint.config import CONFIG, ModelConfig, read_model_config
from uhd_edge.export.checkpoint.derived import (
    refuse_adapter,
    refuse_derived_tensors,
    refuse_other_types,
    refuse_pointers,
)
from uhd_edge.export.checkpoint.hub import BESIDE_WEIGHTS, PATTERNS, download, is_hub_name
from uhd_edge.export.checkpoint.json_file import read_object
from uhd_edge.export.checkpoint.llava_config import MODEL_TYPE, read_llava_config
from uhd_edge.export.checkpoint.llava_names import UNUSED, has_llava_names, llava_name
from uhd_edge.export.checkpoint.llava_processor import read_llava_processor
from uhd_edge.export.checkpoint.moonvit_names import from_moonvit_names
from uhd_edge.export.checkpoint.processor import ProcessorConfig, read_processor_config
from uhd_edge.export.checkpoint.tensors import HEAD, differences, expected_tensors
from uhd_edge.export.checkpoint.weights import (
    STATE_DICTS,
    StoredTensor,
    find_weights,
    indexed_names,
    open_weights,
    readable,
)
from uhd_edge.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

# Tensors that are not needed: those of Qwen3.5's multi-token prediction (neither transformers nor
# llama.cpp runs it here), and the frequencies of rotary embeddings, which follow from the configuration.
IGNORED = re.compile(r"(model\.)?mtp\.|.*rotary_emb\.(original_)?inv_freq$")


@dataclass(frozen=True)
class Checkpoint:
    """An open checkpoint whose tensors fit its configuration. Close it, or use it in a `with` statement.

    `config` comes from `config.json`, `processor` from the files of the tokenizer and the image
    processor, all in `folder`. `weights` are the files that hold the tensors.
    """

    folder: Path
    weights: tuple[Path, ...]
    config: ModelConfig
    processor: ProcessorConfig
    _tensors: dict[str, StoredTensor] = field(repr=False)
    _files: ExitStack = field(repr=False)

    @property
    def names(self) -> Sequence[str]:
        """The model's tensors, by their names in `MiniCPMV4_6ForConditionalGeneration`, without a tied output layer."""
        return list(self._tensors)

    def tensor(self, name: str) -> NDArray[Any]:
        """Read one tensor in its stored type: float32, float16, or bfloat16 of `ml_dtypes`.

        Raises `CheckpointError` when it cannot be read, and when it holds NaN or infinity.
        """
        stored = self._tensors[name]
        with readable(self.folder):
            tensor = stored.file.get_tensor(stored.name)
        wrong = np.size(tensor) - np.count_nonzero(np.isfinite(tensor))
        if wrong:
            where = self.folder if len(self.weights) != 1 else self.weights[0]
            raise CheckpointError(
                f"{where}: {stored.name}: {wrong} of {np.size(tensor)} numbers are NaN or infinite; "
                "copy or download the checkpoint again, or take one from before the training broke"
            )
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


def open_checkpoint(source: str | Path, *, base: str | Path | None = None) -> Checkpoint:
    """Open a folder, or download a checkpoint by its Hugging Face name such as `openbmb/MiniCPM-V-4.6`.

    `source` may also be a state dict that torch has saved in a file (`.pt`). Everything but the
    weights then comes from the checkpoint `base`, a folder or a name.

    Raises `CheckpointError`, with a message of one line, when there is no such checkpoint, when it
    has another architecture, when a file is broken, or when tensors are missing, unexpected or of
    another shape than `config.json` says.
    """
    state_dict = _find_state_dict(source, base)
    folder = _find_folder(source) if base is None else _find_folder(base, BESIDE_WEIGHTS)
    refuse_adapter(folder)
    refuse_pointers(file for pattern in BESIDE_WEIGHTS for file in sorted(folder.glob(pattern)))
    content = read_object(folder / CONFIG)
    with ExitStack() as files:
        weights = find_weights(folder) if state_dict is None else (state_dict,)
        refuse_pointers(weights)
        stored = open_weights(weights, files)
        where = folder if state_dict is None else state_dict
        refuse_derived_tensors(where, content, stored)
        refuse_other_types(where, content, {name: tensor.type for name, tensor in stored.items()})
        stored = {name: tensor for name, tensor in stored.items() if not IGNORED.match(name)}
        config = read_config(folder, stored)
        is_llava = config.architecture == "llava_uhd_v4"
        read_processor = read_llava_processor if is_llava else read_processor_config
        processor = read_processor(folder, patch_size=config.tower.patch)
        tensors = (_llava_tensors if is_llava else _plain_tensors)(where, config, stored)
        return Checkpoint(folder, weights, config, processor, tensors, files.pop_all())


def read_config(folder: Path, names: Collection[str] | None = None) -> ModelConfig:
    """Read `config.json` beside tensors of these stored `names`, or of those that an index lists.

    LLaVA-UHD v4's own checkpoints are told by them. Where there are none, before the weights are
    there, the `model_type` tells. Raises `CheckpointError`.
    """
    names = indexed_names(folder) if names is None else names
    is_llava = has_llava_names(names) if names else read_object(folder / CONFIG).get("model_type") == MODEL_TYPE
    return read_llava_config(folder, names) if is_llava else read_model_config(folder)


def _find_state_dict(source: str | Path, base: str | Path | None) -> Path | None:
    """The file of a state dict, which goes with a base; None for a folder or a name, which go without."""
    path, is_folder = _look_at(source)
    is_state_dict = path.suffix in STATE_DICTS and not is_folder
    if is_state_dict and not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    if is_state_dict and base is None:
        raise CheckpointError(
            f"{path}: is a state dict; name its base model, a folder with config.json and the tokenizer, with --base"
        )
    if base is not None and not is_state_dict:
        raise CheckpointError(f"{source}: needs no base model; --base goes with a state dict, FILE.pt")
    return path if is_state_dict else None


def _find_folder(source: str | Path, patterns: Sequence[str] = PATTERNS) -> Path:
    path, is_folder = _look_at(source)
    if is_folder:
        return path
    if path.exists():
        raise CheckpointError(f"{path}: this is a file; a checkpoint is a folder")
    if isinstance(source, str) and is_hub_name(source):
        return download(source, patterns)
    raise CheckpointError(f"{path}: no such checkpoint folder")


def _look_at(source: str | Path) -> tuple[Path, bool]:
    """The path, and whether it is a folder."""
    try:
        path = Path(source).expanduser()
        path.exists()
        return path, path.is_dir()
    # the name is too long, a parent folder has no permission, an unknown ~user
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{source}: not a folder that can be opened ({error})") from error


def _plain_tensors(where: Path, config: ModelConfig, stored: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    if any(name.startswith("vision_tower.") for name in stored):  # saved as `MiniCPMV4_6Model`
        stored = {name if name == HEAD else f"model.{name}": tensor for name, tensor in stored.items()}
    if config.tied:
        stored.pop(HEAD, None)  # some checkpoints store it all the same; transformers overwrites it
    if config.tower.backbone == "moonvit":
        stored = from_moonvit_names(stored)
    _check_tensors(where, {name: name for name in expected_tensors(config)}, config, stored)
    return stored


def _llava_tensors(where: Path, config: ModelConfig, stored: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    names = {name: llava_name(name) for name in expected_tensors(config)}
    needed = {name: tensor for name, tensor in stored.items() if not UNUSED.match(name)}
    if config.tied:
        needed.pop(llava_name(HEAD), None)
    _check_tensors(where, names, config, needed)
    return {name: needed[theirs] for name, theirs in names.items()}


def _check_tensors(where: Path, names: dict[str, str], config: ModelConfig, stored: dict[str, StoredTensor]) -> None:
    """Compare with what the configuration says, by the stored names."""
    expected = {names[name]: shape for name, shape in expected_tensors(config).items()}
    if problems := differences(expected, {name: tensor.shape for name, tensor in stored.items()}):
        raise CheckpointError(f"{where}: tensors do not fit config.json: {problems}")
