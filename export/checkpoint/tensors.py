"""The names and shapes of the tensors that a checkpoint of given sizes must have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.runtime.bundles.compressors import COMPRESSORS, CrossMerge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.export.checkpoint.config import ModelConfig
    from uhd_edge.export.checkpoint.text_config import TextConfig
    from uhd_edge.export.tower_config import TowerConfig

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
    """Shapes of the tower, its compressor if any, and the connector. The patch embedding is a convolution's."""
    shapes = {f"{VISION}{name}": shape for name, shape in _tower(tower).items()}
    return shapes | {f"{CONNECTOR}{name}": shape for name, shape in _connector(tower).items()}


def _tower(tower: TowerConfig) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {
        "embeddings.patch_embedding.weight": (tower.hidden, tower.channels, tower.patch, tower.patch),
        "embeddings.patch_embedding.bias": (tower.hidden,),
        "embeddings.position_embedding.weight": (tower.table_side**2, tower.hidden),
    }
    for layer in range(tower.layers):
        shapes |= _within(f"encoder.layers.{layer}", _vision_layer(tower))
    compressor = _within("vit_merger", _compressor(tower)) if tower.has_compressor else {}
    return shapes | _norm("post_layernorm", tower.hidden) | compressor


def _vision_layer(tower: TowerConfig) -> dict[str, Shape]:
    return {
        **_norm("layer_norm1", tower.hidden),
        **_vision_attention(tower),
        **_norm("layer_norm2", tower.hidden),
        **_linear("mlp.fc1", tower.hidden, tower.intermediate),
        **_linear("mlp.fc2", tower.intermediate, tower.hidden),
    }


def _compressor(tower: TowerConfig) -> dict[str, Shape]:
    merge = COMPRESSORS[tower.compressor]
    if isinstance(merge, CrossMerge):
        return _vision_layer(tower)
    fused = tower.window * tower.hidden
    shapes = _norm("layer_norm1", tower.hidden) | _vision_attention(tower) if merge.attends else {}
    if merge.mlp is not None:
        inner = tower.window * tower.intermediate if merge.mlp == "wide" else fused
        shapes |= (
            _norm("pre_norm", fused) | _linear("linear_1", fused, inner) | _linear("linear_2", inner, tower.hidden)
        )
    return shapes


def _connector(tower: TowerConfig) -> dict[str, Shape]:
    if tower.connector == "resampler":
        return _resampler(tower)
    merged = tower.merge * tower.hidden
    shapes: dict[str, Shape] = {}
    for index in range(tower.merge_rounds):
        width = tower.llm_hidden if index == tower.merge_rounds - 1 else tower.hidden
        parts = _norm("pre_norm", merged) | _linear("linear_1", merged, merged) | _linear("linear_2", merged, width)
        shapes |= _within(f"mlp.{index}", parts)
    return shapes


def _resampler(tower: TowerConfig) -> dict[str, Shape]:
    width = tower.llm_hidden
    return {
        "query": (tower.queries, width),
        **_linear("kv_proj", tower.hidden, width),
        **_norm("norm_query", width),
        **_norm("norm_features", width),
        **_within("attn", _projections(width)),
        **_norm("norm_output", width),
        **_linear("proj", width, width),
    }


def _vision_attention(tower: TowerConfig) -> dict[str, Shape]:
    return _within("self_attn", _projections(tower.hidden))


def _projections(width: int) -> dict[str, Shape]:
    linears = (_linear(name, width, width) for name in ("q_proj", "k_proj", "v_proj", "out_proj"))
    return {name: shape for linear in linears for name, shape in linear.items()}


def _linear(name: str, width: int, output: int) -> dict[str, Shape]:
    return {f"{name}.weight": (output, width), f"{name}.bias": (output,)}


def _norm(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _within(module: str, shapes: dict[str, Shape]) -> dict[str, Shape]:
    return {f"{module}.{name}": shape for name, shape in shapes.items()}


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
