"""Run the FP32 graphs on real pictures and record the inputs of the linears."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from uhd_edge.calibration.ranges.activations import Recorded, merge
from uhd_edge.calibration.ranges.linears import find_sites
from uhd_edge.calibration.ranges.recorder import Recorder, peak_name
from uhd_edge.calibration.work import pass_cost
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.export.graphs.compressor_graphs import COMPRESSOR
from uhd_edge.runtime.bundles.update import copy_beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.calibration.pictures import Pictures
    from uhd_edge.calibration.ranges.activations import Activations
    from uhd_edge.calibration.ranges.linears import Site
    from uhd_edge.calibration.saved_work import SavedWork
    from uhd_edge.calibration.work import Work
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

SAVED_EVERY = 16  # views
RECORDING_COST = 1.2  # of a pass, in the units of `Work`


@dataclass(frozen=True)
class Recording:
    """Under which name a recording is kept for a run that goes on after this one, if at all, and who is told of it."""

    work: Work
    name: str = ""
    saved: SavedWork | None = None

    def kept(self, mode: Mode) -> dict[str, NDArray[Any]] | None:
        """Return what an earlier run has recorded."""
        return None if self.saved is None else self.saved.arrays(f"{self.name} {mode}")

    def keep(self, mode: Mode, recorder: Recorder) -> None:
        """Keep what was recorded so far."""
        if self.saved is not None:
            self.saved.keep_arrays(f"{self.name} {mode}", recorder.arrays())


def record_activations(
    bundle: Bundle, pictures: Pictures, *, seed: int, threads: int | None, recording: Recording
) -> Recorded:
    """Run the FP32 graphs of every mode over the views of `pictures`.

    Views that an earlier run has recorded are taken from there. Raises `CalibrationError` if
    an activation is NaN or infinite, since it has no range.
    """
    by_mode = [
        _record_mode(bundle, mode, pictures, seed=seed, threads=threads, recording=recording)
        for mode in bundle.manifest.graphs
    ]
    sites: dict[str, Activations] = {}
    outputs: dict[str, float] = {}
    embeddings: dict[str, NDArray[np.float32]] = {}
    for recorded in by_mode:
        for name, seen in recorded.sites.items():
            sites[name] = merge(sites[name], seen) if name in sites else seen
        for name, peak in recorded.outputs.items():
            outputs[name] = max(peak, outputs.get(name, 0.0))
        embeddings.update(recorded.embeddings)
    return Recorded(sites, outputs, embeddings)


def _record_mode(
    bundle: Bundle, mode: Mode, pictures: Pictures, *, seed: int, threads: int | None, recording: Recording
) -> Recorded:
    files = bundle.graphs(mode, "fp32")
    both_modes = bundle.manifest.graphs[mode]["fp32"].both_modes
    sites = [_used_in(mode, find_sites(ir.load(file).graph)) for file in files]
    cost = RECORDING_COST * pass_cost(bundle.manifest.vision, mode)
    recorder = Recorder(seed, recording.kept(mode))
    recording.work.expect(-cost * recorder.views)
    if recorder.views == pictures.count(bundle.manifest, mode):
        return recorder.recorded()
    with ExitStack() as stack:
        graphs = [
            stack.enter_context(_instrumented(file, file_sites)) for file, file_sites in zip(files, sites, strict=True)
        ]
        engines = [stack.enter_context(OnnxRuntimeEngine(graph, threads=threads, in_order=True)) for graph in graphs]
        # Also when the run is interrupted.
        stack.callback(recording.keep, mode, recorder)
        for view in pictures.views(bundle.manifest, mode):
            if view.name in recorder.embeddings:
                continue
            _record_view(
                recorder, view.name, view.inputs(bundle.manifest.vision, both_modes=both_modes), engines, sites
            )
            recording.work.done(cost)
            if recorder.views % SAVED_EVERY == 0:
                recording.keep(mode, recorder)
    return recorder.recorded()


def _record_view(
    recorder: Recorder,
    name: str,
    inputs: Mapping[str, NDArray[Any]],
    engines: Sequence[OnnxRuntimeEngine],
    sites: Sequence[Sequence[Site]],
) -> None:
    """Run encoder and connector on a view. At the real size the outputs take 0.9 GB, so they end with this function."""
    encoder, connector = engines
    outputs = encoder.run(inputs)
    embedded = connector.run({"features": outputs["features"]})
    recorder.add(name, [(outputs, sites[0]), (embedded, sites[1])], embedded["embeddings"][0])


def _used_in(mode: Mode, sites: Sequence[Site]) -> list[Site]:
    """Leave out the compressor in 4x: in a graph for both modes it has nothing to compress there."""
    return [site for site in sites if mode == "16x" or not site.linears[0].name.startswith(f"{COMPRESSOR}.")]


@contextmanager
def _instrumented(file: Path, sites: Sequence[Site]) -> Iterator[Path]:
    """Write a copy of the graph with every site and the peak of every linear among its outputs.

    The copy is temporary and lies next to `file`, because its weights are found from there.
    """
    model = ir.load(file)
    nodes = {str(node.name): node for node in model.graph}
    for site in sites:
        for linear in site.linears:
            _add_peak_output(model.graph, linear.name, nodes[linear.node])
        value = nodes[site.linears[0].node].inputs[0]
        if value is not None and value not in model.graph.outputs:
            model.graph.outputs.append(value)
    with copy_beside(file) as copy:
        ir.save(model, copy)
        yield copy


def _add_peak_output(graph: ir.Graph, name: str, product: ir.Node) -> None:
    """Put the peak right behind its linear, so that the linear's output need not be kept until the end."""
    (add,) = product.outputs[0].consumers()
    magnitude = ir.node("Abs", [add.outputs[0]], name=f"{name}/peak/Abs")
    peak = ir.node("ReduceMax", magnitude.outputs, attributes={"keepdims": 0}, name=f"{name}/peak/ReduceMax")
    magnitude.outputs[0].name, peak.outputs[0].name = f"{name}/magnitude", peak_name(name)
    graph.insert_after(add, [magnitude, peak])
    graph.outputs.append(peak.outputs[0])
