"""Reads the text model's part of a checkpoint's `config.json`: what its tensors depend on.

Fields and defaults are those of transformers' `Qwen3Config` and `Qwen3_5TextConfig`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from uhd_edge.export.checkpoint.json_file import validated
from uhd_edge.runtime.errors import CheckpointError

# A limit far above any model's sizes, so that a broken file cannot start endless work.
Count = Annotated[int, Field(ge=1, le=1 << 20, strict=True)]
Layers = Annotated[int, Field(ge=1, le=1024, strict=True)]


class Fields(BaseModel):
    """Fields of a configuration, of which others may be there too."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=(), allow_inf_nan=False)


class TextConfig(Fields):
    """The sizes of the text model, as far as its tensors depend on them.

    `layer_types` has one entry per layer: `full_attention`, `sliding_attention` or `linear_attention`.
    """

    model_config = ConfigDict(frozen=True)

    model_type: Literal["qwen3", "qwen3_5_text"]
    vocab_size: Count
    hidden_size: Count = 4096
    intermediate_size: Count
    num_hidden_layers: Layers = 32
    num_attention_heads: Count
    num_key_value_heads: Count
    head_dim: Count
    attention_bias: bool = False
    tie_word_embeddings: bool = False
    use_sliding_window: Literal[False] = False
    layer_types: tuple[Literal["full_attention", "sliding_attention", "linear_attention"], ...] | None = None
    full_attention_interval: Count = 4
    linear_conv_kernel_dim: Count = 4
    linear_key_head_dim: Count = 128
    linear_value_head_dim: Count = 128
    linear_num_key_heads: Count = 16
    linear_num_value_heads: Count = 32

    def is_linear(self, layer: int) -> bool:
        """Whether a layer is a Gated DeltaNet instead of an attention."""
        if self.model_type == "qwen3":
            return False
        if self.layer_types is not None:
            return self.layer_types[layer] == "linear_attention"
        return (layer + 1) % self.full_attention_interval != 0


TEXT_DEFAULTS: dict[str, dict[str, int]] = {
    "qwen3": {
        "vocab_size": 151936,
        "intermediate_size": 22016,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "head_dim": 128,
    },
    "qwen3_5_text": {
        "vocab_size": 248320,
        "intermediate_size": 12288,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "head_dim": 256,
    },
}


def read_text_config(content: dict[str, Any], where: str, known: tuple[str, ...]) -> TextConfig:
    """Read `text_config`; raises `CheckpointError` for a text model that is not one of the `known`."""
    found = content.get("model_type")
    if found not in known:
        verb = "is" if len(known) == 1 else "are"
        raise CheckpointError(f"{where}: text model {found!r} is not supported; only {' and '.join(known)} {verb}")
    given = {name: value for name, value in content.items() if value is not None}
    text = validated(TextConfig, {**TEXT_DEFAULTS[found], **given}, f"{where}: text_config")
    if text.layer_types is not None and len(text.layer_types) != text.num_hidden_layers:
        raise CheckpointError(
            f"{where}: text_config.layer_types has {len(text.layer_types)} entries for {text.num_hidden_layers} layers"
        )
    return text
