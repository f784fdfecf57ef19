"""Encoder and connector of a checkpoint as ONNX graphs.

One encoder serves both modes, so that an engine holds its weights once; a bundle of one mode
has the encoder of that mode alone. The connector is the same in both modes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import onnx_ir as ir

from uhd_edge.export.graphs.connector_graphs import connector_graph
from uhd_edge.export.graphs.half_precision import to_half_precision
from uhd_edge.export.graphs.onnx_tower import encoder_graph
from uhd_edge.export.graphs.weight_file import WeightFile
from uhd_edge.runtime.bundles.manifest import GraphKind, Graphs
from uhd_edge.runtime.errors import ExportError, OutputError
from uhd_edge.runtime.modes import Mode, Precision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from uhd_edge.export.graphs.graph_builder import ReadTensor
    from uhd_edge.export.tower_config import TowerConfig

FOLDER = "graphs"


class HasTower(Protocol):
    """A configuration that has the sizes of a vision tower."""

    @property
    def tower(self) -> TowerConfig: ...  # noqa: D102


class VisionWeights(Protocol):
    """What graphs are made of, such as an open `Checkpoint`: sizes, and tensors by the names of the whole model."""

    @property
    def config(self) -> HasTower: ...  # noqa: D102

    def tensor(self, name: str) -> NDArray[Any]: ...  # noqa: D102


def write_graphs(
    checkpoint: VisionWeights,
    folder: Path,
    *,
    modes: Sequence[Mode],
    precisions: Sequence[Precision],
    progress: Callable[[str], None],
) -> dict[Mode, dict[GraphKind, Graphs]]:
    """Write the graphs of `modes` in `precisions` (fp32, fp16) below `folder`/graphs.

    Inputs and outputs are float32 in every precision; their shapes stand in
    `uhd_edge.export.graphs.onnx_tower`. `progress` is told each step. Returns paths relative to
    `folder`. Raises `CheckpointError` on broken weights, `ExportError` on weights that FP16
    cannot hold or another precision, `OutputError` when the files cannot be written.
    """
    unknown = sorted(set(precisions) - {"fp32", "fp16"})
    if unknown:
        raise ExportError(f"an export writes fp32 and fp16, not {', '.join(unknown)}")
    graphs: dict[Mode, dict[GraphKind, Graphs]] = {mode: {} for mode in modes}
    target = folder / FOLDER
    try:
        target.mkdir(parents=True, exist_ok=True)
        for precision in precisions:
            connector = _write_connector(checkpoint, target, precision, progress)
            encoder = _write_encoder(checkpoint, target, modes, precision, progress)
            for mode in modes:
                pair = Graphs(encoder=encoder, connector=connector, both_modes=len(modes) > 1)
                graphs[mode][precision] = pair
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{target}: cannot be written ({reason}); free some space or choose another") from error
    return graphs


def _write_encoder(
    checkpoint: VisionWeights,
    folder: Path,
    modes: Sequence[Mode],
    precision: Precision,
    progress: Callable[[str], None],
) -> str:
    name = "encoder" if len(modes) > 1 else f"encoder-{modes[0]}"
    progress(f"{name.replace('-', ' ')} {precision}")
    with WeightFile(folder / f"encoder-{precision}.weights") as weights:
        graph = encoder_graph(checkpoint.config.tower, _reader(checkpoint), modes=modes)
        return _write(graph, weights, name, precision)


def _write_connector(
    checkpoint: VisionWeights, folder: Path, precision: Precision, progress: Callable[[str], None]
) -> str:
    progress(f"connector {precision}")
    with WeightFile(folder / f"connector-{precision}.weights") as weights:
        graph = connector_graph(checkpoint.config.tower, _reader(checkpoint))
        return _write(graph, weights, "connector", precision)


def _reader(checkpoint: VisionWeights) -> ReadTensor:
    return lambda name: checkpoint.tensor(f"model.{name}")


def _write(model: ir.Model, weights: WeightFile, name: str, precision: Precision) -> str:
    if precision == "fp16":
        to_half_precision(model)
    weights.move_weights(model)
    file = weights.path.with_name(f"{name}-{precision}.onnx")
    ir.save(model, file)
    return f"{FOLDER}/{file.name}"
