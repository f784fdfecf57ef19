"""The names and shapes of the tensors that a checkpoint of given sizes must have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from uhd_edge.export.tower import Connector, TowerConfig, VisionTower

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.export.checkpoint.config import ModelConfig, TextConfig

Shape = tuple[int, ...]

VISION, CONNECTOR, TEXT, HEAD = "model.vision_tower.", "model.merger.", "model.language_model.", "lm_head.weight"
LISTED = 5  # names that a message lists; it counts the rest


def expected_tensors(config: ModelConfig) -> dict[str, Shape]:
    """Name and shape of every tensor that a checkpoint with this `config` has."""
    text = config.text
    shapes = vision_tensors(config.tower) | {TEXT + name: shape for name, shape in text_tensors(text).items()}
    if not config.tied:
        shapes[HEAD] = (text.vocab_size, text.hidden_size)
    return shapes


def vision_tensors(tower: TowerConfig) -> dict[str, Shape]:
    """Shapes of the vision tower, the compressor and the connector. The patch embedding is a convolution's."""
    with torch.device("meta"):
        parts = {VISION: VisionTower(tower), CONNECTOR: Connector(tower)}
    shapes = {
        prefix + name: tuple(parameter.shape)
        for prefix, module in parts.items()
        for name, parameter in module.named_parameters()
    }
    shapes[f"{VISION}embeddings.patch_embedding.weight"] = (tower.hidden, tower.channels, tower.patch, tower.patch)
    return shapes


def text_tensors(text: TextConfig) -> dict[str, Shape]:
    """Shapes of a `qwen3` or `qwen3_5_text` model, without its output layer."""
    shapes: dict[str, Shape] = {
        "embed_tokens.weight": (text.vocab_size, text.hidden_size),
        "norm.weight": (text.hidden_size,),
    }
    for layer in range(text.num_hidden_layers):
        mixer = _linear_attention(text) if text.is_linear(layer) else _attention(text)
        shapes |= {f"layers.{layer}.{name}": shape for name, shape in (_feed_forward(text) | mixer).items()}
    return shapes


def _feed_forward(text: TextConfig) -> dict[str, Shape]:
    return {
        "input_layernorm.weight": (text.hidden_size,),
        "post_attention_layernorm.weight": (text.hidden_size,),
        "mlp.gate_proj.weight": (text.intermediate_size, text.hidden_size),
        "mlp.up_proj.weight": (text.intermediate_size, text.hidden_size),
        "mlp.down_proj.weight": (text.hidden_size, text.intermediate_size),
    }


def _attention(text: TextConfig) -> dict[str, Shape]:
    gates = 2 if text.model_type == "qwen3_5_text" else 1  # Qwen3.5 projects a gate beside each query
    queries = text.num_attention_heads * text.head_dim
    keys = text.num_key_value_heads * text.head_dim
    shapes: dict[str, Shape] = {
        "self_attn.q_proj.weight": (gates * queries, text.hidden_size),
        "self_attn.k_proj.weight": (keys, text.hidden_size),
        "self_attn.v_proj.weight": (keys, text.hidden_size),
        "self_attn.o_proj.weight": (text.hidden_size, queries),
    }
    if text.attention_bias:
        shapes |= {name.replace("weight", "bias"): shape[:1] for name, shape in shapes.items()}
    return shapes | {"self_attn.q_norm.weight": (text.head_dim,), "self_attn.k_norm.weight": (text.head_dim,)}


def _linear_attention(text: TextConfig) -> dict[str, Shape]:
    heads = text.linear_num_value_heads
    values = heads * text.linear_value_head_dim
    mixed = 2 * text.linear_num_key_heads * text.linear_key_head_dim + values
    shapes: dict[str, Shape] = {
        "A_log": (heads,),
        "dt_bias": (heads,),
        "conv1d.weight": (mixed, 1, text.linear_conv_kernel_dim),
        "in_proj_qkv.weight": (mixed, text.hidden_size),
        "in_proj_z.weight": (values, text.hidden_size),
        "in_proj_a.weight": (heads, text.hidden_size),
        "in_proj_b.weight": (heads, text.hidden_size),
        "norm.weight": (text.linear_value_head_dim,),
        "out_proj.weight": (text.hidden_size, values),
    }
    return {f"linear_attn.{name}": shape for name, shape in shapes.items()}


def differences(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> str:
    """Describe the missing, unexpected and wrongly shaped tensors; empty when there are none."""
    wrong = [
        f"{name} {list(found[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    groups = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "of another shape": wrong,
    }
    return "; ".join(f"{len(names)} {kind}: {_listed(names)}" for kind, names in groups.items() if names)


def _listed(names: list[str]) -> str:
    rest = len(names) - LISTED
    return ", ".join(sorted(names)[:LISTED]) + (f" and {rest} more" if rest > 0 else "")
