"""Reads the files beside the weights of LLaVA-UHD v4's own checkpoints, in which code says what fields say elsewhere.

The names of the special tokens are those of `Qwen2TokenizerFastWrapper`, and the fields of
`preprocessor_config.json` those of `MiniCPMVImageProcessor`. Image and text of a message are joined
by newlines, and the model is asked not to think unless a question says otherwise, as `MiniCPMV.chat`
does, by which LLaVA-UHD v4 is evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uhd_edge.export.checkpoint.json_file import read_object, validated
from uhd_edge.export.checkpoint.processor import (
    IMAGE_PROCESSOR,
    TOKENIZER_CONFIG,
    ImageProcessor,
    ProcessorConfig,
    check_patch_size,
    read_chat_template,
    read_stop_ids,
    to_preprocessing,
    token_id,
    token_text,
)
from uhd_edge.runtime.bundles.manifest import Prompt, SpecialTokens

if TYPE_CHECKING:
    from pathlib import Path

# The fields of `preprocessor_config.json` that name special tokens, and what they are where it has none.
TOKENS = {
    "image": ("unk", "<unk>"),
    "image_start": ("im_start", "<image>"),
    "image_end": ("im_end", "</image>"),
    "slice_start": ("slice_start", "<slice>"),
    "slice_end": ("slice_end", "</slice>"),
    "image_id_start": ("im_id_start", "<image_id>"),
    "image_id_end": ("im_id_end", "</image_id>"),
}
TEXT_END = "<|endoftext|>"  # ends an answer too
RENAMED = {"norm_mean": "image_mean", "norm_std": "image_std"}

# Qwen3's template takes a message's content as text alone. This comes before it and makes that of the parts.
PARTS_TO_TEXT = """\
{%- if enable_thinking is not defined -%}
{%- set enable_thinking = false -%}
{%- endif -%}
{%- set plain = namespace(messages=[]) -%}
{%- for message in messages -%}
{%- set content = message.content -%}
{%- if content is not string -%}
{%- set texts = namespace(all=[]) -%}
{%- for part in content -%}
{%- set texts.all = texts.all + [image_token if part.type == 'image' else part.text] -%}
{%- endfor -%}
{%- set content = texts.all | join('\\n') -%}
{%- endif -%}
{%- set plain.messages = plain.messages + [dict(message, content=content)] -%}
{%- endfor -%}
{%- set messages = plain.messages -%}
"""


def read_llava_processor(folder: Path, *, patch_size: int) -> ProcessorConfig:
    """Read the processor's files; raises `CheckpointError` when one is missing, broken or unsupported.

    `patch_size` is the vision tower's. The image processor must have the same.
    """
    content = read_object(folder / IMAGE_PROCESSOR)
    given = {RENAMED.get(name, name): value for name, value in content.items() if value is not None}
    images = validated(ImageProcessor, given, str(folder / IMAGE_PROCESSOR))
    check_patch_size(folder, images, patch_size)
    tokenizer = read_object(folder / TOKENIZER_CONFIG)
    stops = dict.fromkeys([*read_stop_ids(folder, tokenizer), *token_id(folder, TEXT_END)])
    prompt = Prompt(
        chat_template=PARTS_TO_TEXT + read_chat_template(folder, tokenizer),
        tokens=_special_tokens(folder, content),
        stop_ids=tuple(stops),
        use_image_id=images.use_image_id,
        bos_token=token_text(tokenizer.get("bos_token")),
        eos_token=token_text(tokenizer.get("eos_token")),
    )
    return ProcessorConfig(to_preprocessing(images), prompt)


def _special_tokens(folder: Path, content: dict[str, Any]) -> SpecialTokens:
    texts = {name: content.get(field, text) for name, (field, text) in TOKENS.items()}
    return validated(SpecialTokens, texts, str(folder / IMAGE_PROCESSOR))
