"""Encoder and connector of a checkpoint as ONNX graphs.

The encoders of both modes share one weight file per precision: the 4x encoder simply does
not name the compressor's tensors. The connector is the same in both modes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir
import torch
from torch import Tensor, nn

from uhd_edge.export.half_precision import to_half_precision
from uhd_edge.export.tower import Connector, VisionTower
from uhd_edge.export.trace import trace
from uhd_edge.export.weight_file import WeightFile
from uhd_edge.runtime.bundle import Graphs, Mode, Precision
from uhd_edge.runtime.errors import ExportError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from uhd_edge.export.checkpoint import Checkpoint

FOLDER = "graphs"

# Two views of 4 x 8 patches: only shapes are looked at, and 0, 1 or equal axes would be taken for constants.
EXAMPLE_BATCH, EXAMPLE_PATCHES = 2, 32


class Encoder(nn.Module):
    """`patches` and `position_ids` to `features`, in one of the two modes."""

    def __init__(self, tower: VisionTower, *, compress: bool) -> None:
        super().__init__()
        self.vision_tower = tower
        self.compress = compress

    def forward(self, patches: Tensor, position_ids: Tensor) -> Tensor:
        """[B, N, 3*p*p] float and [B, N] int64 -> [B, N / window, d] (16x) or [B, N, d] (4x)."""
        return self.vision_tower.encode(patches, position_ids, compress=self.compress)


class Embedder(nn.Module):
    """`features` to `embeddings`, under the name the checkpoint gives the connector."""

    def __init__(self, connector: Connector) -> None:
        super().__init__()
        self.merger = connector

    def forward(self, features: Tensor) -> Tensor:
        """[B, M, d] -> [B, M / merge**rounds, d_llm]."""
        embeddings: Tensor = self.merger(features)
        return embeddings


def write_graphs(
    checkpoint: Checkpoint,
    folder: Path,
    *,
    modes: Sequence[Mode],
    precisions: Sequence[Precision],
    progress: Callable[[str], None],
) -> dict[Mode, dict[Precision, Graphs]]:
    """Write the graphs of `modes` in `precisions` (fp32, fp16) below `folder`/graphs.

    Inputs and outputs are float32 in every precision (see `encoder_graph` and
    `connector_graph` for their shapes). `progress` is told each step. Returns the paths
    relative to `folder`. Raises `CheckpointError` on broken weights, `ExportError` when a
    graph cannot be made, `OutputError` when it cannot be written.
    """
    unknown = sorted(set(precisions) - {"fp32", "fp16"})
    if unknown:
        raise ExportError(f"an export writes fp32 and fp16, not {', '.join(unknown)}")
    graphs: dict[Mode, dict[Precision, Graphs]] = {mode: {} for mode in modes}
    target = folder / FOLDER
    try:
        target.mkdir(parents=True, exist_ok=True)
        for precision in precisions:
            connector = _write_connector(checkpoint, target, precision, progress)
            encoders = _write_encoders(checkpoint, target, modes, precision, progress)
            for mode, encoder in encoders.items():
                graphs[mode][precision] = Graphs(encoder=encoder, connector=connector)
    except OSError as error:
        raise OutputError(
            f"{target}: cannot be written ({error.strerror}); free some space or choose another"
        ) from error
    return graphs


def encoder_graph(checkpoint: Checkpoint, *, mode: Mode) -> ir.Model:
    """`patches` float32 [B, N, 3*p*p] and `position_ids` int64 [B, N] -> `features` float32 [B, N / 4 or N, d]."""
    with torch.device("meta"):
        module = Encoder(VisionTower(checkpoint.config.tower), compress=mode == "16x")
        patches = torch.empty(EXAMPLE_BATCH, EXAMPLE_PATCHES, checkpoint.config.tower.patch_values)
        position_ids = torch.empty(EXAMPLE_BATCH, EXAMPLE_PATCHES, dtype=torch.int64)
    return trace(
        module,
        {"patches": patches, "position_ids": position_ids},
        {
            "patches": ("batch", "patches", ""),
            "position_ids": ("batch", "patches"),
            "features": ("batch", "windows" if mode == "16x" else "patches", ""),
        },
        "features",
        lambda name: checkpoint.tensor(f"model.{name}"),
    )


def connector_graph(checkpoint: Checkpoint) -> ir.Model:
    """`features` float32 [B, M, d] -> `embeddings` float32 [B, M / 4, d_llm]."""
    tower = checkpoint.config.tower
    with torch.device("meta"):
        module = Embedder(Connector(tower))
        features = torch.empty(EXAMPLE_BATCH, 2 * tower.merge**tower.merge_rounds, tower.hidden)
    return trace(
        module,
        {"features": features},
        {"features": ("batch", "features", ""), "embeddings": ("batch", "tokens", "")},
        "embeddings",
        lambda name: checkpoint.tensor(f"model.{name}"),
    )


def _write_encoders(
    checkpoint: Checkpoint, folder: Path, modes: Sequence[Mode], precision: Precision, progress: Callable[[str], None]
) -> dict[Mode, str]:
    paths: dict[Mode, str] = {}
    with WeightFile(folder / f"encoder-{precision}.weights") as weights:
        for mode in modes:
            progress(f"encoder {mode} {precision}")
            paths[mode] = _write(encoder_graph(checkpoint, mode=mode), weights, f"encoder-{mode}", precision)
    return paths


def _write_connector(
    checkpoint: Checkpoint, folder: Path, precision: Precision, progress: Callable[[str], None]
) -> str:
    progress(f"connector {precision}")
    with WeightFile(folder / f"connector-{precision}.weights") as weights:
        return _write(connector_graph(checkpoint), weights, "connector", precision)


def _write(model: ir.Model, weights: WeightFile, name: str, precision: Precision) -> str:
    if precision == "fp16":
        to_half_precision(model)
    weights.move_weights(model)
    file = weights.path.with_name(f"{name}-{precision}.onnx")
    model.graph.name = name
    ir.save(model, file)
    return f"{FOLDER}/{file.name}"
