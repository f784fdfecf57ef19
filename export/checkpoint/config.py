"""Reads a checkpoint's `config.json`: the architecture, and the sizes of its parts.

Fields and defaults are those of transformers' `MiniCPMV4_6Config`, `MiniCPMV4_6VisionConfig`,
`Qwen3Config` and `Qwen3_5TextConfig`. What these accept but the graphs cannot reproduce is
refused here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from uhd_edge.export.checkpoint.derived import refuse_adapter, refuse_quantized
from uhd_edge.export.checkpoint.json_file import read_object, validated
from uhd_edge.export.tower_config import TowerConfig
from uhd_edge.runtime.errors import CheckpointError
from uhd_edge.runtime.modes import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = "config.json"
ARCHITECTURE = "minicpmv4_6"
TEXT_MODELS = ("qwen3_5_text", "qwen3")

# A limit far above any model's sizes, so that a broken file cannot start endless work.
Count = Annotated[int, Field(ge=1, le=1 << 20, strict=True)]
Layers = Annotated[int, Field(ge=1, le=1024, strict=True)]
Index = Annotated[int, Field(strict=True)]
Square = tuple[Count, Count]
SQUARE_SIDE = 2  # the side of every merge: transformers' code always halves the grid and quadruples the width


class _Fields(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=(), allow_inf_nan=False)


class _Vision(_Fields):
    hidden_size: Count = 768
    intermediate_size: Count = 3072
    num_hidden_layers: Layers = 12
    num_attention_heads: Count = 12
    num_channels: Literal[3] = 3
    image_size: Count = 224
    patch_size: Count = 16
    hidden_act: Literal["gelu_pytorch_tanh"] = "gelu_pytorch_tanh"
    layer_norm_eps: Annotated[float, Field(gt=0)] = 1e-6
    window_kernel_size: Square = (2, 2)


class _Config(_Fields):
    insert_layer_id: Index = 6
    drop_vision_last_layer: bool = False
    downsample_mode: Mode = "16x"
    merge_kernel_size: Square = (2, 2)
    merger_times: Count = 1
    tie_word_embeddings: bool = False
    vision_config: _Vision
    text_config: dict[str, Any]


class TextConfig(_Fields):
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


@dataclass(frozen=True)
class ModelConfig:
    """What `config.json` says: sizes of the vision tower and the text model, and the mode it was trained for.

    `text_config` is the file's `text_config`, unchanged. `tied` is true where the output layer
    shares its weights with the token embeddings.
    """

    tower: TowerConfig
    text: TextConfig
    text_config: dict[str, Any]
    default_mode: Mode
    tied: bool


def read_model_config(folder: Path) -> ModelConfig:
    """Read `config.json`; raises `CheckpointError` when the graphs cannot reproduce what it describes."""
    refuse_adapter(folder)
    content = read_object(folder / CONFIG)
    where = str(folder / CONFIG)
    _refuse_others(content, where)
    refuse_quantized(folder, content, where)
    config = validated(_Config, {"vision_config": {}, **content}, where)
    text = _text_config(config.text_config, where)
    _check_vision(config, where)
    return ModelConfig(
        tower=_tower(config, text.hidden_size),
        text=text,
        text_config=config.text_config,
        default_mode=config.downsample_mode,
        tied=config.tie_word_embeddings or text.tie_word_embeddings,
    )


def _refuse_others(content: dict[str, Any], where: str) -> None:
    found = content.get("model_type")
    if found != ARCHITECTURE:
        raise CheckpointError(
            f"{where}: architecture {found!r} is not supported; only {ARCHITECTURE} (MiniCPM-V 4.6) is"
        )


def _text_config(content: dict[str, Any], where: str) -> TextConfig:
    found = content.get("model_type")
    if found not in TEXT_MODELS:
        raise CheckpointError(f"{where}: text model {found!r} is not supported; only {' and '.join(TEXT_MODELS)} are")
    given = {name: value for name, value in content.items() if value is not None}
    text = validated(TextConfig, {**TEXT_DEFAULTS[found], **given}, f"{where}: text_config")
    if text.layer_types is not None and len(text.layer_types) != text.num_hidden_layers:
        raise CheckpointError(
            f"{where}: text_config.layer_types has {len(text.layer_types)} entries for {text.num_hidden_layers} layers"
        )
    return text


def _check_vision(config: _Config, where: str) -> None:
    for problem in _vision_problems(config, config.vision_config):
        raise CheckpointError(f"{where}: {problem}")


def _vision_problems(config: _Config, vision: _Vision) -> Iterator[str]:
    if config.drop_vision_last_layer:
        yield "drop_vision_last_layer: true is not supported"
    for name, square in (
        ("window_kernel_size", vision.window_kernel_size),
        ("merge_kernel_size", config.merge_kernel_size),
    ):
        if square != (SQUARE_SIDE, SQUARE_SIDE):
            yield f"{name}: {list(square)} is not supported; only [2, 2] is"
    if config.merger_times != 1:
        yield f"merger_times: {config.merger_times} is not supported; only 1 is, because slices are cut for one round"
    if vision.hidden_size % vision.num_attention_heads:
        yield (
            f"vision_config: hidden_size {vision.hidden_size} cannot be divided by "
            f"num_attention_heads {vision.num_attention_heads}"
        )
    if not 0 <= config.insert_layer_id < vision.num_hidden_layers:
        yield f"insert_layer_id: no layer {config.insert_layer_id} among the {vision.num_hidden_layers} vision layers"
    if vision.image_size < vision.patch_size:
        yield f"vision_config: image_size {vision.image_size} is smaller than patch_size {vision.patch_size}"


def _tower(config: _Config, llm_hidden: int) -> TowerConfig:
    vision = config.vision_config
    return TowerConfig(
        hidden=vision.hidden_size,
        intermediate=vision.intermediate_size,
        layers=vision.num_hidden_layers,
        heads=vision.num_attention_heads,
        patch=vision.patch_size,
        channels=vision.num_channels,
        table_side=vision.image_size // vision.patch_size,
        # From the whole model's configuration; transformers overwrites the vision tower's own value with it.
        insert_layer=config.insert_layer_id,
        window=SQUARE_SIDE**2,
        merge=SQUARE_SIDE**2,
        merge_rounds=config.merger_times,
        llm_hidden=llm_hidden,
        epsilon=vision.layer_norm_eps,
    )
