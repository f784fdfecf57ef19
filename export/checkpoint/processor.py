"""Reads the files beside the weights: image processor, special tokens, chat template, stop tokens.

Files are looked up in the same order as transformers' `AutoProcessor` does. The defaults are
those of its `MiniCPMV4_6ImageProcessorPil`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from uhd_edge.export.checkpoint.json_file import read_object, read_optional_object, validated
from uhd_edge.runtime.bundles.manifest import Preprocessing, Prompt, SpecialTokens
from uhd_edge.runtime.errors import CheckpointError
from uhd_edge.runtime.modes import Mode

if TYPE_CHECKING:
    from pathlib import Path

PROCESSOR, IMAGE_PROCESSOR = "processor_config.json", "preprocessor_config.json"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
TEMPLATE, OLD_TEMPLATE = "chat_template.jinja", "chat_template.json"
GENERATION, CONFIG = "generation_config.json", "config.json"

# A limit far above any processor's values, so that a broken file cannot ask for an image of terabytes.
Count = Annotated[int, Field(ge=1, le=1 << 14, strict=True)]
Positive = Annotated[float, Field(gt=0)]


def _repeated(value: object) -> object:
    """Repeat a single number, which stands for all three channels."""
    return (value,) * 3 if isinstance(value, (int, float)) else value


Mean = Annotated[tuple[float, float, float], BeforeValidator(_repeated)]
Deviation = Annotated[tuple[Positive, Positive, Positive], BeforeValidator(_repeated)]


class ImageProcessor(BaseModel):
    """The fields of an image processor that change what it does."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    do_resize: Literal[True] = True
    do_rescale: Literal[True] = True
    do_normalize: Literal[True] = True
    rescale_factor: Positive = 1 / 255
    image_mean: Mean = (0.5, 0.5, 0.5)
    image_std: Deviation = (0.5, 0.5, 0.5)
    resample: Annotated[int, Field(ge=0, le=5)] = 3
    scale_resolution: Count = 448
    max_slice_nums: Count = 9
    patch_size: Count = 14
    slice_mode: bool = True
    downsample_mode: Mode = "16x"
    use_image_id: bool = True


@dataclass(frozen=True)
class ProcessorConfig:
    """The preprocessing of images and the prompt's tokens, in the form of a bundle's manifest."""

    preprocessing: Preprocessing
    prompt: Prompt


def read_processor_config(folder: Path, *, patch_size: int) -> ProcessorConfig:
    """Read the processor's files; raises `CheckpointError` when one is missing, broken or unsupported.

    `patch_size` is the vision tower's. The image processor must have the same.
    """
    images = _image_processor(folder)
    check_patch_size(folder, images, patch_size)
    return ProcessorConfig(to_preprocessing(images), _prompt(folder, images))


def check_patch_size(folder: Path, images: ImageProcessor, patch_size: int) -> None:
    """Raise `CheckpointError` unless image processor and vision tower cut the same patches."""
    if images.patch_size != patch_size:
        raise CheckpointError(
            f"{folder}: the image processor has patch_size {images.patch_size}, but the vision tower has {patch_size}"
        )


def _image_processor(folder: Path) -> ImageProcessor:
    nested = read_optional_object(folder / PROCESSOR).get("image_processor")
    if nested is not None:
        return validated(ImageProcessor, _given(nested), f"{folder / PROCESSOR}: image_processor")
    return validated(ImageProcessor, _given(read_object(folder / IMAGE_PROCESSOR)), str(folder / IMAGE_PROCESSOR))


def _given(content: object) -> object:
    """Drop the fields that are null: they have their default."""
    return (
        {name: value for name, value in content.items() if value is not None} if isinstance(content, dict) else content
    )


def to_preprocessing(images: ImageProcessor) -> Preprocessing:
    """Return the image processor's values as a manifest records them."""
    return Preprocessing(
        scale_resolution=images.scale_resolution,
        max_slices=images.max_slice_nums,
        patch_size=images.patch_size,
        slicing=images.slice_mode,
        rescale_factor=images.rescale_factor,
        mean=images.image_mean,
        std=images.image_std,
        resample=images.resample,
    )


def _prompt(folder: Path, images: ImageProcessor) -> Prompt:
    tokenizer = read_object(folder / TOKENIZER_CONFIG)
    return Prompt(
        chat_template=read_chat_template(folder, tokenizer),
        tokens=_special_tokens(folder, tokenizer),
        stop_ids=read_stop_ids(folder, tokenizer),
        use_image_id=images.use_image_id,
        bos_token=token_text(tokenizer.get("bos_token")),
        eos_token=token_text(tokenizer.get("eos_token")),
    )


def token_text(token: object) -> str | None:
    """The text of a token, which is stored either as a string or in an object with a field `content`."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) and content else None


def _special_tokens(folder: Path, tokenizer: dict[str, Any]) -> SpecialTokens:
    named: dict[str, Any] = {}
    for group in ("extra_special_tokens", "model_specific_special_tokens"):
        more = tokenizer.get(group)
        named |= more if isinstance(more, dict) else {}
    named |= tokenizer
    tokens = {field: token_text(named.get(f"{field}_token")) for field in SpecialTokens.model_fields}
    missing = [f"{field}_token" for field, text in tokens.items() if text is None]
    if missing:
        raise CheckpointError(f"{folder / TOKENIZER_CONFIG}: {', '.join(missing)} is missing")
    return validated(SpecialTokens, tokens, str(folder / TOKENIZER_CONFIG))


def read_chat_template(folder: Path, tokenizer: dict[str, Any]) -> str:
    """Find the chat template, in `tokenizer_config.json` or in a file; raises `CheckpointError` when there is none."""
    found = (
        read_optional_object(folder / PROCESSOR).get("chat_template")
        or read_optional_object(folder / OLD_TEMPLATE).get("chat_template")
        or _template_file(folder / TEMPLATE)
        or tokenizer.get("chat_template")
    )
    if isinstance(found, list):  # several templates, each with a name
        named = [entry for entry in found if isinstance(entry, dict) and entry.get("name") == "default"]
        found = named[0].get("template") if named else None
    elif isinstance(found, dict):
        found = found.get("default")
    if not isinstance(found, str):
        raise CheckpointError(f"{folder}: no chat template, neither in {TEMPLATE} nor in {TOKENIZER_CONFIG}")
    return found


def _template_file(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8") if file.exists() else None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read; copy or download the checkpoint again") from error


def read_stop_ids(folder: Path, tokenizer: dict[str, Any]) -> tuple[int, ...]:
    """The tokens at which transformers ends an answer, and the tokenizer's `eos_token`."""
    config = read_object(folder / CONFIG)
    found = (
        read_optional_object(folder / GENERATION).get("eos_token_id"),
        config.get("eos_token_id"),
        (config.get("text_config") or {}).get("eos_token_id"),
    )
    ids = next(([given] if isinstance(given, int) else given for given in found if given is not None), [])
    if not isinstance(ids, list) or not all(type(number) is int and number >= 0 for number in ids):
        raise CheckpointError(f"{folder}: eos_token_id is neither a token id nor a list of token ids")
    own = token_id(folder, token_text(tokenizer.get("eos_token")))
    stops = tuple(dict.fromkeys([*ids, *own]))
    if not stops:
        raise CheckpointError(f"{folder}: no eos_token_id in {GENERATION} and no eos_token in {TOKENIZER_CONFIG}")
    return stops


def token_id(folder: Path, text: str | None) -> list[int]:
    """Return the id of an added token in a list, empty when there is no such token."""
    added = read_object(folder / TOKENIZER).get("added_tokens")
    entries = added if isinstance(added, list) else []
    return [
        entry["id"]
        for entry in entries
        if isinstance(entry, dict)
        and text is not None
        and entry.get("content") == text
        and type(entry.get("id")) is int
    ]
