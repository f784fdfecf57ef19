"""What the vision graphs take: their weights as files say, and the numbers between their layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.engines.fusing.attention import with_fused_attention
from uhd_edge.engines.graph_files import graph_files
from uhd_edge.runtime.memory.measured import (
    ACTIVATIONS_IN_MLP_WIDTHS,
    ACTIVATIONS_IN_WIDTHS,
    HEAD_SIZE,
    SCORES,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import GraphKind, Vision
    from uhd_edge.runtime.modes import Mode

HALF, SINGLE = 2, 4  # bytes of a number
USUAL_MLP = 4  # widths, where the manifest does not say


def weight_bytes(bundle: Bundle, modes: Sequence[Mode], kind: GraphKind) -> tuple[int, int]:
    """Bytes of the encoders' and of the connectors' files of `modes`; a file that modes share counts once.

    Raises `EngineUnavailableError` when the bundle has no such graphs.
    """
    pairs = [bundle.graphs(mode, kind) for mode in modes]
    encoders, connectors = (_total(files) for files in zip(*pairs, strict=True))
    return encoders, connectors


def is_fused(bundle: Bundle, mode: Mode, kind: GraphKind) -> bool:
    """Whether ONNX Runtime computes the attention of `mode` on a CPU without its scores.

    FP16 graphs and MoonViT's turned positions stay unfused. INT8 graphs are written fused, and what they take
    was measured so.
    """
    return kind == "fp32" and with_fused_attention(bundle.graphs(mode, kind)[0]) is not None


def activation_bytes(
    vision: Vision, views: int, patches: int, *, number_bytes: int = SINGLE, fused: bool = False
) -> int:
    """Bytes that the largest layers hold for a batch of `views` views of `patches` patches each.

    Where attention is `fused`, the scores of all pairs of patches are not among them.
    """
    width, mlp = vision.hidden_size, vision.intermediate_size or USUAL_MLP * vision.hidden_size
    heads = max(1, width // HEAD_SIZE)
    numbers = ACTIVATIONS_IN_MLP_WIDTHS * mlp + ACTIVATIONS_IN_WIDTHS * width
    scores = 0 if fused else SCORES * heads * patches
    return number_bytes * views * patches * (numbers + scores)


def _total(graphs: Iterable[Path]) -> int:
    files = {file for graph in set(graphs) for file in graph_files(graph)}
    return sum(file.stat().st_size for file in files)
