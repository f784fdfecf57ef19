"""Writes the text model of a checkpoint as a checkpoint of its own, which llama.cpp's converter can read.

The weights below `model.language_model.` move to `model.`, the text configuration becomes the
whole configuration, and the tokenizer's files are copied. Tensors are read one at a time, so
memory never holds more than one shard.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from uhd_edge.export.checkpoint.json_file import read_optional_object
from uhd_edge.export.checkpoint.processor import TOKENIZER_CONFIG
from uhd_edge.export.checkpoint.tensors import HEAD, TEXT
from uhd_edge.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# For each text model type, the class by which llama.cpp's converter recognizes its checkpoints.
ARCHITECTURES = {"qwen3": "Qwen3ForCausalLM", "qwen3_5_text": "Qwen3_5ForCausalLM"}
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
    "chat_template.jinja",
)
SHARD_BYTES = 1 << 30


class Tensors(Protocol):
    """A checkpoint's tensors, read one at a time."""

    @property
    def names(self) -> Sequence[str]:
        """The names of all tensors."""
        ...

    def tensor(self, name: str) -> NDArray[Any]:
        """Read one tensor."""
        ...


def write_text_checkpoint(
    source: Path, tensors: Tensors, text_config: Mapping[str, Any], folder: Path, *, shard_bytes: int = SHARD_BYTES
) -> None:
    """Write the text model of the checkpoint in `source` into `folder`, with its tokenizer.

    Tensors keep their dtype. Raises `CheckpointError` for a text model that cannot be converted, and
    what `tensors` raises for broken weights.
    """
    architecture = ARCHITECTURES.get(text_config.get("model_type", ""))
    if architecture is None:
        raise CheckpointError(
            f"{source}: text model {text_config.get('model_type')!r} cannot be converted, only "
            f"{' and '.join(ARCHITECTURES)} can; give a ready language model with --llm FILE.gguf"
        )
    folder.mkdir()
    _copy_tokenizer(source, folder)
    tied = HEAD not in tensors.names
    config = {**text_config, "architectures": [architecture], "tie_word_embeddings": tied}
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    _write_shards(_text_tensors(tensors), folder, shard_bytes)


def _copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy the tokenizer's files. Where code of the checkpoint's own would load it, transformers' plain class does."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    settings = read_optional_object(source / TOKENIZER_CONFIG)
    if settings.pop("auto_map", None) is not None:
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        (folder / TOKENIZER_CONFIG).write_text(json.dumps(settings), encoding="utf-8")


def _text_tensors(tensors: Tensors) -> Iterator[tuple[str, NDArray[Any]]]:
    for name in tensors.names:
        if name.startswith(TEXT):
            yield f"model.{name.removeprefix(TEXT)}", tensors.tensor(name)
        elif name == HEAD:
            yield name, tensors.tensor(name)


def _write_shards(named: Iterator[tuple[str, NDArray[Any]]], folder: Path, shard_bytes: int) -> None:
    from safetensors.numpy import save_file

    shards: list[list[str]] = []
    total = 0
    for shard in _gathered(named, shard_bytes):
        shards.append(list(shard))
        total += sum(tensor.nbytes for tensor in shard.values())
        save_file(shard, folder / f"shard-{len(shards)}", metadata={"format": "pt"})
    weight_map = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        (folder / f"shard-{number}").rename(folder / file)
        weight_map.update(dict.fromkeys(names, file))
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _gathered(named: Iterator[tuple[str, NDArray[Any]]], shard_bytes: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Group tensors into shards of at most `shard_bytes`. A larger tensor is a shard of its own."""
    shard: dict[str, NDArray[Any]] = {}
    held = 0
    for name, tensor in named:
        if shard and held + tensor.nbytes > shard_bytes:
            yield shard
            shard, held = {}, 0
        shard[name] = np.ascontiguousarray(tensor)
        held += tensor.nbytes
    if shard:
        yield shard
