"""The manifest of an exported bundle, from what the checkpoint says and what was written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.export.checkpoint.hub import is_hub_name
from uhd_edge.runtime.bundles.manifest import FORMAT_VERSION, GraphKind, Graphs, Manifest, Prompt, Vision

if TYPE_CHECKING:
    from uhd_edge.export.checkpoint.checkpoint import Checkpoint
    from uhd_edge.export.checkpoint.config import ModelConfig
    from uhd_edge.runtime.bundles.manifest import LanguageModelFile
    from uhd_edge.runtime.modes import Mode


def make_manifest(
    checkpoint: Checkpoint,
    name: str,
    prompt: Prompt,
    graphs: dict[Mode, dict[GraphKind, Graphs]],
    llm: LanguageModelFile,
) -> Manifest:
    """Return the manifest without its list of files, which the writer adds."""
    trained_for = checkpoint.config.default_mode
    return Manifest(
        format=FORMAT_VERSION,
        architecture=checkpoint.config.architecture,
        name=name,
        default_mode=trained_for if trained_for in graphs else next(iter(graphs)),
        vision=_vision(checkpoint.config),
        preprocessing=checkpoint.processor.preprocessing,
        prompt=prompt,
        graphs=graphs,
        llm=llm,
        files={},
    )


def _vision(config: ModelConfig) -> Vision:
    tower = config.tower
    return Vision(
        backbone=tower.backbone,
        hidden_size=tower.hidden,
        intermediate_size=tower.intermediate,
        layers=tower.layers,
        insert_layer=tower.insert_layer,
        table_side=tower.table_side,
        window=math.isqrt(tower.window),
        merge=math.isqrt(tower.merge),
        merge_rounds=tower.merge_rounds,
        compressor=tower.compressor,
        connector=tower.connector,
        queries=tower.queries or None,
        coordinates="steps" if config.architecture == "llava_uhd_v4" else "quotients",
    )


def bundle_name(source: str | Path) -> str:
    """The bundle's default name: the checkpoint's Hugging Face name, or the name of its folder or file."""
    path = Path(source).resolve()
    if path.is_file():
        return path.stem
    return str(source) if isinstance(source, str) and is_hub_name(source) else path.name
