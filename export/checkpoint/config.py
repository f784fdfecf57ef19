"""Reads a checkpoint's `config.json`: the architecture, and the sizes of its parts.

Fields and defaults are those of transformers' `MiniCPMV4_6Config`, `MiniCPMV4_7Config`, their
`VisionConfig`s. What these accept but the graphs cannot reproduce is refused here. The vision tower's
part is in `vision_fields.py`, the text model's in `text_config.py`. A `vision_config` whose `model_type`
is `moonvit` says that the tower is a MoonViT, which transformers has not in these models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field

from uhd_edge.export.checkpoint.derived import refuse_adapter, refuse_quantized
from uhd_edge.export.checkpoint.json_file import read_object, validated
from uhd_edge.export.checkpoint.text_config import Count, Fields, TextConfig, read_text_config
from uhd_edge.export.checkpoint.vision_fields import MOONVIT, MoonVitFields, Square, VisionFields
from uhd_edge.export.tower_config import TowerConfig
from uhd_edge.runtime.errors import CheckpointError
from uhd_edge.runtime.modes import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = "config.json"
Architecture = Literal["minicpmv4_6", "minicpmv4_7", "llava_uhd_v4"]
# The text models of each: MiniCPM-V 4.7 gives tokens positions in time and plane, for which Qwen3 has no room.
TEXT_MODELS: dict[str, tuple[str, ...]] = {
    "minicpmv4_6": ("qwen3_5_text", "qwen3"),
    "minicpmv4_7": ("qwen3_5_text",),
}

Index = Annotated[int, Field(strict=True)]
MARKERS = ("image_start", "image_end", "slice_start", "slice_end", "newline")
SQUARE_SIDE = 2  # the side of every merge: transformers' code always halves the grid and quadruples the width


class _Config(Fields):
    insert_layer_id: Index = 6
    drop_vision_last_layer: bool = False
    downsample_mode: Mode = "16x"
    merge_kernel_size: Square = (2, 2)
    merger_times: Count = 1
    tie_word_embeddings: bool = False
    vision_config: VisionFields
    text_config: dict[str, Any]
    # Of MiniCPM-V 4.7 alone.
    image_start_id: Index | None = None
    image_end_id: Index | None = None
    slice_start_id: Index | None = None
    slice_end_id: Index | None = None
    newline_id: Index | None = None


class _MoonVitConfig(_Config):
    vision_config: MoonVitFields


@dataclass(frozen=True)
class ModelConfig:
    """What `config.json` says: sizes of the vision tower and the text model, and the mode it was trained for.

    `text_config` is the file's `text_config`, unchanged. `tied` is true where the output layer
    shares its weights with the token embeddings. `marker_ids` are the ids that the file gives to
    the tokens around views, by the names of `SpecialTokens`, and to "newline".
    """

    architecture: Architecture
    tower: TowerConfig
    text: TextConfig
    text_config: dict[str, Any]
    default_mode: Mode
    tied: bool
    marker_ids: dict[str, int]

    @property
    def has_canvas(self) -> bool:
        """Whether the tokens of an image have positions in the plane."""
        return self.architecture == "minicpmv4_7"

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that can be exported; a tower without a compressor has one, whatever merges its patches."""
        return ("16x", "4x") if self.tower.has_compressor else ("16x",)


def read_model_config(folder: Path) -> ModelConfig:
    """Read `config.json`; raises `CheckpointError` when the graphs cannot reproduce what it describes."""
    refuse_adapter(folder)
    content = read_object(folder / CONFIG)
    where = str(folder / CONFIG)
    _refuse_others(content, where)
    refuse_quantized(folder, content, where)
    vision = content.get("vision_config")
    is_moonvit = isinstance(vision, dict) and vision.get("model_type") == MOONVIT
    config = validated(_MoonVitConfig if is_moonvit else _Config, {"vision_config": {}, **content}, where)
    architecture = cast("Architecture", content["model_type"])
    text = read_text_config(config.text_config, where, TEXT_MODELS[architecture])
    _check_vision(config, where)
    return ModelConfig(
        architecture=architecture,
        tower=_tower(config, text.hidden_size),
        text=text,
        text_config=config.text_config,
        default_mode=config.downsample_mode,
        tied=config.tie_word_embeddings or text.tie_word_embeddings,
        marker_ids=_marker_ids(config, where) if architecture == "minicpmv4_7" else {},
    )


def _marker_ids(config: _Config, where: str) -> dict[str, int]:
    """The ids of the tokens around views, all of which transformers needs too."""
    given = {name: getattr(config, f"{name}_id") for name in MARKERS}
    missing = [f"{name}_id" for name, token_id in given.items() if token_id is None]
    if missing:
        raise CheckpointError(f"{where}: {', '.join(missing)} is missing; copy or download the checkpoint again")
    return given


def _refuse_others(content: dict[str, Any], where: str) -> None:
    found = content.get("model_type")
    if not isinstance(found, str) or found not in TEXT_MODELS:
        known = "minicpmv4_6 (MiniCPM-V 4.6), minicpmv4_7 (MiniCPM-V 4.7) and LLaVA-UHD v4, told by its tensors,"
        raise CheckpointError(f"{where}: architecture {found!r} is not supported; only {known} are")


def _check_vision(config: _Config, where: str) -> None:
    for problem in _vision_problems(config, config.vision_config):
        raise CheckpointError(f"{where}: {problem}")


def _vision_problems(config: _Config, vision: VisionFields) -> Iterator[str]:
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
    if not 0 <= config.insert_layer_id < vision.num_hidden_layers:
        yield f"insert_layer_id: no layer {config.insert_layer_id} among the {vision.num_hidden_layers} vision layers"
    problem = vision.problem()
    if problem is not None:
        yield f"vision_config: {problem}"


def _tower(config: _Config, llm_hidden: int) -> TowerConfig:
    vision = config.vision_config
    return TowerConfig(
        hidden=vision.hidden_size,
        intermediate=vision.intermediate_size,
        layers=vision.num_hidden_layers,
        heads=vision.num_attention_heads,
        patch=vision.patch_size,
        channels=vision.num_channels,
        table_side=vision.table_side,
        # From the whole model's configuration; transformers overwrites the vision tower's own value with it.
        insert_layer=config.insert_layer_id,
        window=SQUARE_SIDE**2,
        merge=SQUARE_SIDE**2,
        merge_rounds=config.merger_times,
        llm_hidden=llm_hidden,
        epsilon=vision.layer_norm_eps,
        compressor=vision.compressor,
        backbone=vision.backbone,
    )
