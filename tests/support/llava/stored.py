"""Tiny random checkpoints as LLaVA-UHD v4's own code stores them, with its compressor and without, the baseline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from support.checkpoint_tokenizer import SPLIT_QWEN2, save_tokenizer
from support.checkpoints import TinyCheckpoint, spread_weights, text_config
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN, INNER, LAYERS, HEADS, PATCH, TABLE, INSERT = 48, 80, 3, 4, 14, 70, 1
TEXT = TinyCheckpoint("qwen3", tied=False, seed=9)
STOPS = ("<|im_end|>", "<|endoftext|>")
FILE = "model.safetensors"
# The fields of tokenizer_config.json that other checkpoints have in place of code.
OWN_FIELDS = ("image_", "slice_", "extra_special", "model_specific", "video_", "chat_template")

# As Qwen3's: content is text alone, and thoughts are left to the model unless it is told.
TEMPLATE = """\
{%- for message in messages -%}
{%- set asked = message.role == 'user' and not message.content.startswith('<tool_response>') -%}
{{- '<|im_start|>' + message.role + '\\n' + (message.content if asked else message.content.strip()) -}}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and enable_thinking is false -%}
{{- '<think>\\n\\n</think>\\n\\n' -}}
{%- endif -%}
{%- endif -%}
"""


def save_llava(folder: Path, *, compressed: bool = True) -> Path:
    """Write a checkpoint into `folder`, with a compressor or as the baseline. Returns `folder`."""
    folder.mkdir(parents=True)
    tokenizer = save_tokenizer(folder, split=SPLIT_QWEN2, vocabulary=TEXT.vocabulary)
    tokenizer.add_special_tokens({"unk_token": "<unk>"})
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    kept = {name: value for name, value in json.loads(file.read_text()).items() if not name.startswith(OWN_FIELDS)}
    kept |= {"auto_map": {"AutoTokenizer": ["tokenization_minicpmv_fast.MiniCPMVTokenizerFast", None]}}
    file.write_text(json.dumps(kept | {"tokenizer_class": "MiniCPMVTokenizerFast"}))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    text = text_config(TEXT, tokenizer)
    write_config(folder, text, compressed=compressed)
    save_file(random_tensors(text, compressed=compressed), folder / FILE, metadata={"format": "pt"})
    return folder


def write_config(folder: Path, text: Qwen3Config, *, compressed: bool) -> None:
    fields = text.to_dict() | {
        "model_type": "minicpmv",
        "architectures": ["MiniCPMV"],
        "auto_map": {"AutoModel": "modeling_minicpmv.MiniCPMV"},
        "drop_vision_last_layer": False,
        "slice_config": {"max_slice_nums": 9, "patch_size": PATCH, "model_type": "minicpmv"},
        "vision_config": {
            "hidden_size": HIDDEN,
            "image_size": TABLE * PATCH,
            "intermediate_size": INNER,
            "model_type": "siglip",
            "num_attention_heads": HEADS,
            "num_hidden_layers": LAYERS,
            "patch_size": PATCH,
        },
    }
    (folder / "config.json").write_text(json.dumps(fields | ({"insert_layer_id": INSERT} if compressed else {})))
    images = {"max_slice_nums": 9, "scale_resolution": TEXT.scale_resolution, "patch_size": PATCH, "slice_mode": True}
    images |= {"norm_mean": [0.5] * 3, "norm_std": [0.5] * 3, "use_image_id": True, "unk": "<unk>", "version": 4.5}
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    stops = [PreTrainedTokenizerFast.from_pretrained(folder).convert_tokens_to_ids(text) for text in STOPS]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": stops}))


def random_tensors(text: Qwen3Config, *, compressed: bool) -> dict[str, torch.Tensor]:
    torch.manual_seed(TEXT.seed)
    model = Qwen3ForCausalLM(text)
    spread_weights(model, TEXT.seed)
    with torch.no_grad():
        model.model.norm.weight.add_(2)
    shapes = vision_shapes(compressed=compressed)
    generator = torch.Generator().manual_seed(TEXT.seed)
    tensors = {f"llm.{name}": tensor.clone() for name, tensor in model.state_dict().items()}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        is_norm = len(shape) == 1 and name.endswith("weight")
        tensors[name] = (1 + 0.1 * noise) if is_norm else noise * (noise[0].numel() ** -0.5 if noise.ndim > 1 else 0.1)
    return tensors


def vision_shapes(*, compressed: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "vpm.embeddings.patch_embedding.weight": (HIDDEN, 3, PATCH, PATCH),
        "vpm.embeddings.patch_embedding.bias": (HIDDEN,),
        "vpm.embeddings.position_embedding.weight": (TABLE**2, HIDDEN),
    }
    layer = norm("layer_norm1", HIDDEN) | norm("layer_norm2", HIDDEN)
    for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
        layer |= linear(f"self_attn.{projection}", HIDDEN, HIDDEN)
    layer |= linear("mlp.fc1", HIDDEN, INNER) | linear("mlp.fc2", INNER, HIDDEN)
    places = [f"vpm.encoder.layers.{index}" for index in range(LAYERS)] + (["vit_merger"] if compressed else [])
    for place in places:  # the compressor is a layer itself, whose second norm and MLP nobody calls
        shapes |= {f"{place}.{name}": shape for name, shape in layer.items()}
    shapes |= norm("vpm.post_layernorm", HIDDEN)
    if compressed:
        shapes |= norm("vit_merger.pre_norm", 4 * HIDDEN)
        shapes |= linear("vit_merger.linear_1", 4 * HIDDEN, 4 * INNER)
        shapes |= linear("vit_merger.linear_2", 4 * INNER, HIDDEN)
    widths = [TEXT.text_hidden] if compressed else [HIDDEN, TEXT.text_hidden]
    for index, width in enumerate(widths):
        shapes |= norm(f"resampler.mlp.{index}.pre_norm", 4 * HIDDEN)
        shapes |= linear(f"resampler.mlp.{index}.mlp.0", 4 * HIDDEN, 4 * HIDDEN)
        shapes |= linear(f"resampler.mlp.{index}.mlp.2", 4 * HIDDEN, width)
    return shapes


def linear(name: str, width: int, output: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (output, width), f"{name}.bias": (output,)}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
