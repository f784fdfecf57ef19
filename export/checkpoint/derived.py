"""Refuses what was made from a checkpoint and is none itself: quantized ones, adapters, wrapped modules, pointers.

Each is told by a file or by the names of its tensors, and the message says what to do instead.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from uhd_edge.export.checkpoint.json_file import read_object
from uhd_edge.runtime.bundles.known_models import KNOWN_MODELS
from uhd_edge.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from uhd_edge.runtime.errors import UhdError

ADAPTER = "adapter_config.json"
QUANTIZED = "quantization_config"
# How quantized copies are named after their original: MiniCPM-V-4.6-AWQ, -gptq-int4, -bnb-4bit, ..
_QUANTIZED_NAME = re.compile(r"([-_.](awq|gptq|bnb|int[48]|w[48]a\d+|fp8|nf4|[48]bits?|quantized))+$", re.IGNORECASE)
_METHODS = {"awq": "AWQ", "gptq": "GPTQ", "bitsandbytes": "bitsandbytes"}

# Parts of the tensors' names that the tools below leave.
_QUANTIZED_TENSORS = re.compile(r"\.(qweight|qzeros|g_idx|weight_packed|weight_scale|weight\.(absmax|quant_map|SCB))")
_LORA_TENSORS = re.compile(
    r"(^|\.)(lora_(A|B|embedding_A|embedding_B|magnitude_vector)|base_layer)\.|^base_model\.model\."
)
# What wrapped a module whose tensors have such names, and what gives the module inside.
_WRAPPED_TENSORS = (
    (re.compile(r"(^|\.)_orig_mod\."), "torch.compile", "model._orig_mod.save_pretrained(..)"),
    (
        # Wrapped parts of a model have it inside their names, where no module of these models has such a name.
        re.compile(r"(^|\.)module\."),
        "DataParallel, DistributedDataParallel or DeepSpeed",
        "model.module.save_pretrained(..)",
    ),
    (re.compile(r"(^|\.)_fsdp_wrapped_module\."), "FSDP", "its full state dict"),
    (re.compile(r"(^|\.)_checkpoint_wrapped_module\."), "activation checkpointing", "the state dict without it"),
)
_FP8_TYPES = re.compile(r"(F8_|torch\.float8_)")
_READABLE_TYPES = ("F32", "F16", "BF16")
_POINTER = b"version https://git-lfs.github.com/spec/"


def refuse_adapter(folder: Path) -> None:
    """Raise `CheckpointError` where `folder` holds an adapter of the package peft, such as LoRA's.

    transformers takes such a folder for the adapter, whatever else is in it.
    """
    file = folder / ADAPTER
    if not file.exists():
        return
    content = read_object(file)
    kind, base = content.get("peft_type"), content.get("base_model_name_or_path")
    raise CheckpointError(
        f"{folder}: is an adapter ({kind or 'peft'}), to be merged into {base or 'its base model'} first: "
        "PeftModel.from_pretrained(base, folder).merge_and_unload().save_pretrained(..); "
        f"if these weights are merged already, remove {ADAPTER}"
    )


def refuse_pointers(files: Iterable[Path], error_class: type[UhdError] = CheckpointError) -> None:
    """Raise an error where one of the `files` is what git leaves in place of a large file where Git LFS is missing."""
    for file in files:
        with suppress(OSError), file.open("rb") as stream:
            if stream.read(len(_POINTER)) == _POINTER:
                raise error_class(
                    f"{file}: is a pointer of Git LFS and not the file itself; run `git lfs pull` in its folder"
                )


def refuse_quantized(folder: Path, config: dict[str, Any], where: str) -> None:
    """Raise `CheckpointError` where `config`, the content of config.json, says that weights are quantized."""
    text = config.get("text_config")
    found = config.get(QUANTIZED) or (text.get(QUANTIZED) if isinstance(text, dict) else None)
    if not found:
        return
    method = found.get("quant_method") if isinstance(found, dict) else None
    kind = f" with {_METHODS.get(str(method), method)}" if method else ""
    raise CheckpointError(f"{where}: the checkpoint is quantized{kind}; {_take_original(folder, config)}")


def refuse_derived_tensors(folder: Path, config: dict[str, Any], names: Iterable[str]) -> None:
    """Raise `CheckpointError` where the tensors' `names` are those of quantized, LoRA or wrapped modules."""
    for name in names:
        if _QUANTIZED_TENSORS.search(name):
            raise CheckpointError(f"{folder}: {name}: the checkpoint is quantized; {_take_original(folder, config)}")
        if _LORA_TENSORS.search(name):
            raise CheckpointError(
                f"{folder}: {name}: holds LoRA layers beside the weights; merge them with peft's merge_and_unload(), "
                "and save the model again"
            )
        for pattern, wrapper, inside in _WRAPPED_TENSORS:
            if found := pattern.search(name):
                prefix = found[0].lstrip(".")
                raise CheckpointError(
                    f"{folder}: {name}: was saved from a module wrapped by {wrapper}; save the module inside, "
                    f"{inside}, or take {prefix} out of the names"
                )


def refuse_other_types(folder: Path, config: dict[str, Any], types: Mapping[str, str]) -> None:
    """Raise `CheckpointError` where tensors, given by name and type, are no float32, float16 or bfloat16."""
    others = {name: kind for name, kind in types.items() if kind not in _READABLE_TYPES}
    if not others:
        return
    name, kind = next(iter(others.items()))
    more = f" and {len(others) - 1} other tensors are" if len(others) > 1 else " is"
    if kind in ("F64", "torch.float64"):
        advice = "save the model again in one of these, model.to(torch.bfloat16).save_pretrained(..)"
    else:
        what = "quantized to FP8" if _FP8_TYPES.match(kind) else "probably quantized"
        advice = f"the checkpoint is {what}; {_take_original(folder, config)}"
    raise CheckpointError(
        f"{folder}: {name}{more} of type {kind}, but only {', '.join(_READABLE_TYPES)} can be read: {advice}"
    )


def _take_original(folder: Path, config: dict[str, Any]) -> str:
    return f"take the original one, {_original(folder, config)}, and quantize its language model with --llm-type"


def _original(folder: Path, config: dict[str, Any]) -> str:
    """The name of the checkpoint that was quantized, as far as names tell; else those that are known."""
    known = [model.checkpoint for model in KNOWN_MODELS.values()]
    for name in _names(folder, config):
        plain = _QUANTIZED_NAME.sub("", name)
        named = [checkpoint for checkpoint in known if checkpoint.lower().endswith(f"/{plain.lower()}")]
        if named:
            return named[0]
        if "/" in plain and plain != name:
            return plain
    return "such as openbmb/MiniCPM-V-4.6"


def _names(folder: Path, config: dict[str, Any]) -> Iterator[str]:
    """The names that the checkpoint goes by; a cache of the Hub holds it in models--OWNER--NAME/snapshots/COMMIT."""
    given = config.get("_name_or_path")
    if isinstance(given, str) and given.count("/") <= 1:
        yield given
    path = folder.resolve()
    yield from (part.removeprefix("models--").replace("--", "/") for part in path.parts if part.startswith("models--"))
    yield path.name
