"""Reads the `config.json` of LLaVA-UHD v4's own checkpoints, whose code is built on that of MiniCPM-V 4.5.

The text model's fields are those of `Qwen3Config` and stand beside the others, as in `MiniCPMVConfig`,
or in a `text_config`. Whether there is a compressor, and how often the connector merges, is told by
the names of the tensors: the baseline with compression behind the tower has no `vit_merger`, and its
connector merges twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uhd_edge.export.checkpoint.config import CONFIG, SQUARE_SIDE, Index, ModelConfig
from uhd_edge.export.checkpoint.derived import refuse_adapter, refuse_quantized
from uhd_edge.export.checkpoint.json_file import read_object, validated
from uhd_edge.export.checkpoint.llava_names import count_merge_rounds, count_vision_layers, has_compressor
from uhd_edge.export.checkpoint.text_config import Fields, read_text_config
from uhd_edge.export.checkpoint.vision_fields import VisionFields
from uhd_edge.export.tower_config import TowerConfig
from uhd_edge.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

# The label of MiniCPM-V 2.0 to 4.5 and of what is built on them; only tensors tell these apart.
MODEL_TYPE = "minicpmv"
TEXT_MODEL = "qwen3"
# Of a configuration in which all fields stand side by side, those that are not the text model's.
NOT_TEXT = ("_name_or_path", "architectures", "auto_map", "model_type", "slice_config", "version", "vision_config")
EPSILON = 1e-6  # of the norms over four tokens, which no field of the configuration changes


class _Config(Fields):
    insert_layer_id: Index | None = None
    drop_vision_last_layer: bool | None = None
    tie_word_embeddings: bool = False
    vision_config: VisionFields


def read_llava_config(folder: Path, names: Collection[str]) -> ModelConfig:
    """Read `config.json` beside tensors of these stored `names`.

    Without names, before the weights are there, a compressor is assumed. Raises `CheckpointError`
    when the graphs cannot reproduce what both describe, or when something that decides what the
    model computes is not said.
    """
    refuse_adapter(folder)
    content, where = read_object(folder / CONFIG), str(folder / CONFIG)
    refuse_quantized(folder, content, where)
    config = validated(_Config, content, where)
    text_config = _text_config(content)
    text = read_text_config(text_config, where, (TEXT_MODEL,))
    compressed = has_compressor(names) if names else True
    rounds = count_merge_rounds(names, str(folder)) if names else 1
    if rounds != (1 if compressed else 2):
        raise CheckpointError(
            f"{folder}: its connector merges {rounds} time{'s' if rounds > 1 else ''} "
            f"{'after' if compressed else 'without'} a compressor (vit_merger); supported are once after one, and "
            "twice without, which is 16x in either case"
        )
    for problem in _problems(config, compressed=compressed):
        raise CheckpointError(f"{where}: {problem}")
    layers = _layers(config, names)
    vision = config.vision_config
    tower = TowerConfig(
        hidden=vision.hidden_size,
        intermediate=vision.intermediate_size,
        layers=layers,
        heads=vision.num_attention_heads,
        patch=vision.patch_size,
        channels=vision.num_channels,
        table_side=vision.table_side,
        insert_layer=layers - 1 if config.insert_layer_id is None or not compressed else config.insert_layer_id,
        window=SQUARE_SIDE**2 if compressed else 1,
        merge=SQUARE_SIDE**2,
        merge_rounds=rounds,
        llm_hidden=text.hidden_size,
        epsilon=EPSILON,
    )
    return ModelConfig(
        architecture="llava_uhd_v4",
        tower=tower,
        text=text,
        text_config=text_config,
        default_mode="16x",
        tied=config.tie_word_embeddings or text.tie_word_embeddings,
        marker_ids={},
    )


def _text_config(content: dict[str, Any]) -> dict[str, Any]:
    nested = content.get("text_config")
    if isinstance(nested, dict):
        return nested
    return {name: value for name, value in content.items() if name not in NOT_TEXT} | {"model_type": TEXT_MODEL}


def _layers(config: _Config, names: Collection[str]) -> int:
    """How many vision layers run: the configuration may leave out the last one, or leave it to the weights."""
    written = config.vision_config.num_hidden_layers
    if config.drop_vision_last_layer is None and names:
        return min(count_vision_layers(names), written)
    return written - bool(config.drop_vision_last_layer)


def _problems(config: _Config, *, compressed: bool) -> Iterator[str]:
    vision = config.vision_config
    problem = vision.problem()
    if problem is not None:
        yield f"vision_config: {problem}"
    if vision.layer_norm_eps != EPSILON:
        yield f"vision_config: layer_norm_eps {vision.layer_norm_eps} is not supported; only {EPSILON} is"
    if vision.num_hidden_layers - bool(config.drop_vision_last_layer) < 1:
        yield "drop_vision_last_layer leaves no vision layer"
    if not compressed:
        return
    if config.insert_layer_id is None:
        yield (
            "insert_layer_id is missing, the vision layer after which the compressor stands; write what the training "
            "was given (--insert_layer_id; LLaVA-UHD-v4-8M: 6) there"
        )
    elif not 0 <= config.insert_layer_id < vision.num_hidden_layers:
        yield f"insert_layer_id: no layer {config.insert_layer_id} among the {vision.num_hidden_layers} vision layers"
