"""Tiny random MiniCPM-V 4.6 checkpoints, complete enough for transformers and for the export.

They have every part of the real checkpoint in small: a SigLIP tower with the compressor, the
connector, a text model (plain `qwen3` or hybrid `qwen3_5_text`), a byte-level BPE tokenizer with
the vision special tokens, a ChatML template and the processor's settings. The weights are random,
but scaled so that logits differ from each other and depend on the image.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from support.checkpoint_tokenizer import SPLIT_QWEN2, SPLIT_QWEN35, save_tokenizer
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    MiniCPMV4_6Config,
    MiniCPMV4_6ForConditionalGeneration,
    MiniCPMV4_6ImageProcessorPil,
    MiniCPMV4_6Processor,
    MiniCPMV4_7Config,
    MiniCPMV4_7ForConditionalGeneration,
    MiniCPMV4_7Processor,
    Qwen3_5TextConfig,
    Qwen3Config,
)

if TYPE_CHECKING:
    from pathlib import Path

TextType = Literal["qwen3", "qwen3_5_text"]
Version = Literal["4_6", "4_7"]
MODELS = {"4_6": MiniCPMV4_6ForConditionalGeneration, "4_7": MiniCPMV4_7ForConditionalGeneration}


MARKERS = {
    "image_start": "<image>",
    "image_end": "</image>",
    "slice_start": "<slice>",
    "slice_end": "</slice>",
}


@dataclass(frozen=True)
class TinyCheckpoint:
    """The sizes of a tiny checkpoint. The defaults are small, and unusual on purpose."""

    text_type: TextType = "qwen3"
    version: Version = "4_6"
    seed: int = 0
    vision_hidden: int = 48
    vision_intermediate: int = 80
    vision_layers: int = 3
    vision_heads: int = 4
    insert_layer: int = 1
    table_side: int = 70
    patch: int = 14
    text_hidden: int = 64
    text_intermediate: int = 100  # not a multiple of a quantized type's block
    text_layers: int = 4
    vocabulary: int = 480
    tied: bool = True
    scale_resolution: int = 112
    max_slices: int = 9
    dtype: torch.dtype = torch.float32
    attention: Literal["some", "most", "all"] = "some"  # of the layers; "most" is all but the first


def save_checkpoint(folder: Path, tiny: TinyCheckpoint) -> Path:
    """Write the checkpoint into `folder`, as `save_pretrained` would. Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    split = SPLIT_QWEN2 if tiny.text_type == "qwen3" else SPLIT_QWEN35
    tokenizer = save_tokenizer(folder, split=split, vocabulary=tiny.vocabulary, thinks=tiny.version == "4_7")
    save_processor(folder, tiny)
    torch.manual_seed(tiny.seed)
    model = MODELS[tiny.version](model_config(tiny, tokenizer)).eval()
    spread_weights(model, tiny.seed)
    stops = [tokenizer.convert_tokens_to_ids(text) for text in ("<|im_end|>", "<|endoftext|>")]
    model.generation_config = GenerationConfig(eos_token_id=stops, pad_token_id=stops[1], do_sample=False)
    model.to(tiny.dtype).save_pretrained(folder)
    return folder


def load_model(
    folder: Path, dtype: torch.dtype = torch.float32
) -> MiniCPMV4_6ForConditionalGeneration | MiniCPMV4_7ForConditionalGeneration:
    """The reference model of a checkpoint, in evaluation mode."""
    return MODELS[version_of(folder)].from_pretrained(folder, dtype=dtype).eval()


def version_of(folder: Path) -> Version:
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    return "4_7" if kind == "minicpmv4_7" else "4_6"


class NoVideo:
    """Stands in for a video processor: transformers' own needs torchvision, and no test uses a video with it."""

    slice_mode = True
    downsample_mode = "16x"


class ImageAndTextProcessor(MiniCPMV4_6Processor):  # type: ignore[misc]
    """The reference processor, which accepts `NoVideo` as its video processor."""

    def check_argument_for_proper_class(self, argument_name: str, argument: object) -> None: ...


class ImageAndTextProcessor47(MiniCPMV4_7Processor):  # type: ignore[misc]
    """The same of MiniCPM-V 4.7."""

    def check_argument_for_proper_class(self, argument_name: str, argument: object) -> None: ...


def load_processor(folder: Path) -> MiniCPMV4_6Processor | MiniCPMV4_7Processor:
    """The reference processor with the Pillow image processor, which is the one that the runtime reproduces.

    `AutoProcessor` cannot be used: it needs torchvision, and then it resizes with torchvision.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    images = MiniCPMV4_6ImageProcessorPil.from_pretrained(folder)
    kind = ImageAndTextProcessor47 if version_of(folder) == "4_7" else ImageAndTextProcessor
    return kind(images, NoVideo(), tokenizer, chat_template=tokenizer.chat_template)


def save_processor(folder: Path, tiny: TinyCheckpoint) -> None:
    """Write `preprocessor_config.json` and the one for videos, with the fields of the real checkpoint."""
    shared = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "downsample_mode": "16x",
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "max_slice_nums": tiny.max_slices,
        "patch_size": tiny.patch,
        "processor_class": "MiniCPMV4_6Processor",
        "resample": 3,
        "rescale_factor": 1 / 255,
        "scale_resolution": tiny.scale_resolution,
        "slice_mode": True,
        "use_image_id": True,
    }
    for name, kind in (
        ("preprocessor_config.json", {"image_processor_type": "MiniCPMV4_6ImageProcessor"}),
        ("video_preprocessor_config.json", {"video_processor_type": "MiniCPMV4_6VideoProcessor"}),
    ):
        (folder / name).write_text(json.dumps(shared | kind, indent=2))


def model_config(tiny: TinyCheckpoint, tokenizer: Any) -> MiniCPMV4_6Config | MiniCPMV4_7Config:
    """The configuration of the whole model."""
    markers = {f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in MARKERS.items()}
    kind, more = (MiniCPMV4_6Config, {"image_size": tiny.scale_resolution})
    if tiny.version == "4_7":
        kind, more = (MiniCPMV4_7Config, markers | {"newline_id": tokenizer.encode("\n")[0]})
    return kind(
        text_config=text_config(tiny, tokenizer),
        vision_config={
            "hidden_size": tiny.vision_hidden,
            "intermediate_size": tiny.vision_intermediate,
            "num_hidden_layers": tiny.vision_layers,
            "num_attention_heads": tiny.vision_heads,
            "patch_size": tiny.patch,
            "image_size": tiny.table_side * tiny.patch,
        },
        insert_layer_id=tiny.insert_layer,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        tie_word_embeddings=tiny.tied,
        **more,
    )


def text_config(tiny: TinyCheckpoint, tokenizer: Any) -> Qwen3Config | Qwen3_5TextConfig:
    """The text model's configuration. Both kinds have grouped heads.

    The hybrid one has more value heads than key heads, because the converter reorders these.
    """
    sizes = {
        "vocab_size": tiny.vocabulary,
        "hidden_size": tiny.text_hidden,
        "intermediate_size": tiny.text_intermediate,
        "num_hidden_layers": tiny.text_layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": tiny.tied,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if tiny.text_type == "qwen3":
        return Qwen3Config(**sizes, rope_parameters={"rope_type": "default", "rope_theta": 1e4})
    first = "linear_attention" if tiny.attention == "most" else "full_attention"
    layers = [first, *["full_attention"] * (tiny.text_layers - 1)]
    return Qwen3_5TextConfig(
        **sizes,
        **({} if tiny.attention == "some" else {"layer_types": layers}),
        linear_key_head_dim=32,
        linear_value_head_dim=32,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 1e4,
            "partial_rotary_factor": 0.5,
            "mrope_section": [3, 3, 2],
            "mrope_interleaved": True,
        },
    )


def spread_weights(model: torch.nn.Module, seed: int) -> None:
    """Fill a model with random weights that keep activations near one, so that logits depend on the image.

    One-dimensional weights keep their initial value (one for a norm, zero for a bias, Qwen3.5's decay), with
    some noise. Text embeddings are small, because otherwise tied logits would just repeat the last token. The
    last norm makes up for that.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("language_model.norm.weight"):
                parameter.add_(2)
            if parameter.ndim == 1:
                parameter.add_(0.1 * noise)
            elif "embed_tokens" in name:
                parameter.copy_(0.15 * noise)
            else:
                parameter.copy_(noise * parameter[0].numel() ** -0.5)
