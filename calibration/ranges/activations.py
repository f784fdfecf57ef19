"""Record the inputs of the linears in the FP32 graphs on real pictures: extremes, and samples of rows."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from uhd_edge.calibration.ranges.linears import find_sites
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.export.graphs.onnx_tower import COMPRESSOR
from uhd_edge.runtime.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from uhd_edge.calibration.pictures import Pictures
    from uhd_edge.calibration.ranges.linears import Site
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

# Values kept in all samples of one mode together: 512 MB, or 640 rows at every site of a 27-layer tower.
SAMPLE_NUMBERS = 1 << 27
SAMPLE_ROWS = (256, 1024)
EXTREME_ROWS = 64


@dataclass(frozen=True, eq=False)
class Activations:
    """The activations recorded at one site: `lows` and `highs` [K] are the extremes of each channel.

    `sample` [S, K] holds rows drawn at random, each with the same probability within its mode,
    and `extremes` [E, K] the rows with the largest magnitudes. Clipping affects these most,
    and they are too rare for a random sample to contain enough of them.
    """

    lows: NDArray[np.float32]
    highs: NDArray[np.float32]
    sample: NDArray[np.float32]
    extremes: NDArray[np.float32]

    @property
    def peaks(self) -> NDArray[np.float32]:
        """The largest magnitude of each channel, [K]."""
        return np.maximum(np.abs(self.lows), np.abs(self.highs))

    @property
    def rows(self) -> NDArray[np.float32]:
        """The rows that errors are measured on, [S + E, K]: sampled and extreme ones."""
        return np.concatenate([self.sample, self.extremes])

    def divided(self, factors: NDArray[np.float32]) -> Activations:
        """Return the activations with each channel divided by its factor; all factors must be positive."""
        return Activations(self.lows / factors, self.highs / factors, self.sample / factors, self.extremes / factors)


@dataclass(frozen=True)
class Recorded:
    """The activations of every site, and the largest magnitude of every linear's output, bias included."""

    sites: Mapping[str, Activations]
    outputs: Mapping[str, float]
    views: int


def record_activations(bundle: Bundle, pictures: Pictures, *, seed: int, threads: int | None) -> Recorded:
    """Run the FP32 graphs of every mode over the views of `pictures`.

    Raises `CalibrationError` if an activation is NaN or infinite, since it has no range.
    """
    by_mode = [_record_mode(bundle, mode, pictures, seed, threads) for mode in bundle.manifest.graphs]
    sites: dict[str, Activations] = {}
    outputs: dict[str, float] = {}
    for recorded in by_mode:
        for name, seen in recorded.sites.items():
            sites[name] = _merge(sites[name], seen) if name in sites else seen
        for name, peak in recorded.outputs.items():
            outputs[name] = max(peak, outputs.get(name, 0.0))
    return Recorded(sites, outputs, sum(recorded.views for recorded in by_mode))


def _record_mode(bundle: Bundle, mode: Mode, pictures: Pictures, seed: int, threads: int | None) -> Recorded:
    files = bundle.graphs(mode, "fp32")
    both_modes = bundle.manifest.graphs[mode]["fp32"].both_modes
    sites = [_used_in(mode, find_sites(ir.load(file).graph)) for file in files]
    recorder = _Recorder(np.random.default_rng(seed))
    views = 0
    with ExitStack() as stack:
        graphs = [
            stack.enter_context(_instrumented(file, file_sites)) for file, file_sites in zip(files, sites, strict=True)
        ]
        encoder, connector = (stack.enter_context(OnnxRuntimeEngine(graph, threads=threads)) for graph in graphs)
        for view in pictures.views(bundle.manifest, mode):
            outputs = encoder.run(view.inputs(bundle.manifest.vision, both_modes=both_modes))
            features = outputs["features"]
            recorder.add(outputs, sites[0], view.name)
            recorder.add(connector.run({"features": features}), sites[1], view.name)
            views += 1
    return Recorded(recorder.activations(), recorder.outputs, views)


def _used_in(mode: Mode, sites: Sequence[Site]) -> list[Site]:
    """Leave out the compressor in 4x: in a graph for both modes it has nothing to compress there."""
    return [site for site in sites if mode == "16x" or not site.linears[0].name.startswith(f"{COMPRESSOR}.")]


class _Recorder:
    """Collects extremes, and the rows with the largest random keys (a random sample of a stream of unknown length)."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._seen: dict[str, Activations] = {}
        self._keys: dict[str, NDArray[np.float64]] = {}
        self.outputs: dict[str, float] = {}

    def add(self, values: Mapping[str, NDArray[np.float32]], sites: Sequence[Site], view: str) -> None:
        rows = _rows_to_keep(sum(values[site.name].shape[-1] for site in sites))
        for site in sites:
            value = values[site.name].reshape(-1, values[site.name].shape[-1])
            if not np.isfinite(value).all():
                raise CalibrationError(f"{view}: {site.name} holds NaN or Inf in FP32; export the bundle again")
            self._add_site(site.name, value, rows)
            for linear in site.linears:
                peak = float(values[_peak_name(linear.name)])
                self.outputs[linear.name] = max(peak, self.outputs.get(linear.name, 0.0))

    def activations(self) -> dict[str, Activations]:
        return self._seen

    def _add_site(self, name: str, value: NDArray[np.float32], rows: int) -> None:
        keys = self._random.random(len(value))
        new = np.argsort(keys)[-rows:]
        keys, seen = keys[new], Activations(value.min(axis=0), value.max(axis=0), value[new], _most_extreme(value))
        if name in self._seen:
            keys, seen = np.concatenate([self._keys[name], keys]), _merge(self._seen[name], seen)
            kept = np.argsort(keys)[-rows:]
            keys, seen = keys[kept], Activations(seen.lows, seen.highs, seen.sample[kept], seen.extremes)
        self._keys[name], self._seen[name] = keys, seen


def _rows_to_keep(width: int) -> int:
    """Return the sample size; `width` is the number of channels of all sites of a graph together."""
    least, most = SAMPLE_ROWS
    return min(max(SAMPLE_NUMBERS // width, least), most)


def _merge(one: Activations, other: Activations) -> Activations:
    return Activations(
        lows=np.minimum(one.lows, other.lows),
        highs=np.maximum(one.highs, other.highs),
        sample=np.concatenate([one.sample, other.sample]),
        extremes=_most_extreme(np.concatenate([one.extremes, other.extremes])),
    )


def _most_extreme(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows[np.argsort(np.abs(rows).max(axis=1))[-EXTREME_ROWS:]]


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
    copy = file.with_name(f".instrumented-{secrets.token_hex(6)}.onnx")
    try:
        ir.save(model, copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _add_peak_output(graph: ir.Graph, name: str, product: ir.Node) -> None:
    (add,) = product.outputs[0].consumers()
    magnitude = ir.node("Abs", [add.outputs[0]], name=f"{name}/peak/Abs")
    peak = ir.node("ReduceMax", magnitude.outputs, attributes={"keepdims": 0}, name=f"{name}/peak/ReduceMax")
    magnitude.outputs[0].name, peak.outputs[0].name = f"{name}/magnitude", _peak_name(name)
    graph.extend([magnitude, peak])
    graph.outputs.append(peak.outputs[0])


def _peak_name(linear: str) -> str:
    return f"{linear}/peak"
