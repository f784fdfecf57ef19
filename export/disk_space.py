"""Estimates before an export how much disk space it needs, so that long work does not end at a full disk."""

from __future__ import annotations

import math
import shutil
from typing import TYPE_CHECKING

from uhd_edge.engines.unfinished import readable_size
from uhd_edge.export.checkpoint.tensors import text_tensors, vision_tensors
from uhd_edge.export.language_model.quantize import UNQUANTIZED, file_type
from uhd_edge.runtime.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from uhd_edge.export.checkpoint.checkpoint import Checkpoint
    from uhd_edge.export.checkpoint.config import ModelConfig
    from uhd_edge.export.tower_config import TowerConfig
    from uhd_edge.runtime.modes import Precision

BYTES = {"fp32": 4, "fp16": 2}


def check_disk_space(folder: Path, needed: int) -> None:
    """Raise `OutputError` if fewer than `needed` bytes are free on `folder`'s disk."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{folder.parent}: the export needs about {readable_size(needed)}, but only {readable_size(free)} are "
            "free; free some space or choose another folder"
        )


def bytes_to_copy(checkpoint: Checkpoint, llm: Path, precisions: Sequence[Precision]) -> int:
    """Bytes that an export with a ready GGUF `llm` writes: the graphs in all `precisions`, and a copy of `llm`."""
    return bytes_of_graphs(checkpoint.config.tower, precisions) + llm.stat().st_size


def bytes_to_convert(checkpoint: Checkpoint, llm_type: str, precisions: Sequence[Precision]) -> int:
    """Bytes that an export with a converted language model has on the disk at its peak.

    The peak is the larger of two sums: the copies of the text model while it is converted to
    `llm_type`, or the finished GGUF and the graphs in all `precisions`.
    """
    text = _parameters(text_tensors(checkpoint.config.text))
    stored = text * checkpoint.tensor("model.language_model.norm.weight").itemsize
    written = int(text * file_type(llm_type).bits / 8)
    converting = stored + (written if llm_type in UNQUANTIZED else max(stored, written))
    return max(converting, bytes_of_graphs(checkpoint.config.tower, precisions) + written)


def estimate_conversion(config: ModelConfig, precisions: Sequence[Precision]) -> int:
    """Estimate from `config.json` alone what `bytes_to_convert` will say at most, at two bytes a number."""
    copy = 2 * _parameters(text_tensors(config.text))
    return max(2 * copy, bytes_of_graphs(config.tower, precisions) + copy)


def bytes_of_graphs(tower: TowerConfig, precisions: Sequence[Precision]) -> int:
    """Count the weights of the graphs in all `precisions`; both modes share them."""
    return _parameters(vision_tensors(tower)) * sum(BYTES[precision] for precision in precisions)


def _parameters(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())
