"""Find out without a GPU whether INT8 and FP8 engines of a bundle will overflow in FP16, and how exact they will be."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from uhd_edge.calibration.measure import Agreement, compare
from uhd_edge.calibration.pictures import views_of
from uhd_edge.calibration.simulation.engine import SimulatedEngine
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.checking.counted import counted
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from uhd_edge.calibration.pictures import ViewInput
    from uhd_edge.calibration.simulation.products import SumCount
    from uhd_edge.engines.engine import Engine
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import GraphKind, Manifest, Threshold
    from uhd_edge.runtime.modes import Mode

KINDS: tuple[GraphKind, ...] = ("int8-tensorrt", "fp8", "nvfp4")


@dataclass(frozen=True)
class SimulatedLinear:
    """One quantized product of the encoder, and the sums of all views in one mode."""

    name: str
    count: SumCount


@dataclass(frozen=True)
class Simulation:
    """What an engine of one mode will compute on `views` views: its agreement with FP32, and its sums.

    `kind` is that of the graph.
    """

    kind: GraphKind
    mode: Mode
    views: int
    agreement: Agreement
    linears: tuple[SimulatedLinear, ...]

    @property
    def numbers(self) -> str:
        """INT8, FP8 or NVFP4."""
        return self.kind.partition("-")[0].upper()

    @property
    def sums(self) -> int:
        """The number of sums of quantized products."""
        return sum(linear.count.sums for linear in self.linears)

    @property
    def overflow(self) -> int:
        """The number of sums that exceed 65504 where an engine stores them in FP16."""
        return sum(linear.count.overflow for linear in self.linears)

    @property
    def largest(self) -> float:
        """The largest magnitude that an engine stores in FP16."""
        return max((linear.count.largest for linear in self.linears), default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """Return the content for JSON, which knows no NaN and no infinity."""
        error = self.agreement.largest_error
        agreement = asdict(self.agreement) | {"largest_error": error if math.isfinite(error) else None}
        totals = {"sums": self.sums, "overflow": self.overflow, "largest": self.largest}
        linears = [{"name": linear.name, **asdict(linear.count)} for linear in self.linears]
        what = {"kind": self.kind, "mode": self.mode, "views": self.views}
        return {**what, "agreement": agreement, **totals, "linears": linears}

    def failures(self, threshold: Threshold) -> Iterator[str]:
        """Say in words what makes the engine one not to be trusted."""
        if self.overflow:
            yield (
                f"{self.mode}: {self.overflow} of {self.sums} {self.numbers} sums exceed 65504, the largest FP16 "
                "number; calibrate the bundle again"
            )
        if not self.agreement.reaches(threshold):
            yield (
                f"{self.mode}: simulated {self.numbers} has cosine {self.agreement.lowest_cosine:.5f} in the worst "
                f"view and {self.agreement.lowest_token_cosine:.5f} in the worst token"
            )


def simulate_bundle(
    bundle: Bundle,
    pictures: Mapping[str, Image.Image],
    *,
    kind: GraphKind = "int8-tensorrt",
    modes: Sequence[Mode],
    max_slices: int | None = None,
    threads: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Simulation]:
    """Compute the graphs of `kind` for TensorRT in numpy as an engine does, and compare with FP32 on ONNX Runtime.

    `pictures` are RGB images by their names.

    A full-size view takes about half a minute. Raises `EngineUnavailableError` if the bundle has no
    such graphs or no FP32 graphs, and `ImageError` for a picture that cannot be sliced.
    """
    found = []
    manifest = bundle.manifest
    for mode in modes:
        exact_graphs, graphs = bundle.graphs(mode, "fp32"), bundle.graphs(mode, kind)
        views: list[ViewInput] = []
        for name, image in pictures.items():
            plan = plan_views(*image.size, manifest.preprocessing, mode=mode, max_slices=max_slices)
            views += views_of(image, plan, manifest, mode=mode, name=name)
        progress(f"{mode}: FP32 on ONNX Runtime")
        with OnnxRuntimeEngine(exact_graphs[0], threads=threads) as encoder:
            exact = _embed(encoder, exact_graphs[1], views, manifest, kind="fp32", threads=threads)
        progress(f"{mode}: simulating {kind.partition('-')[0].upper()} on TensorRT, {counted(len(views), 'view')}")
        found.append(simulate_views(graphs, views, exact, manifest, kind=kind, threads=threads))
    return found


def simulate_views(
    graphs: tuple[Path, Path],
    views: Sequence[ViewInput],
    exact: Mapping[str, NDArray[np.float32]],
    manifest: Manifest,
    *,
    kind: GraphKind,
    threads: int | None = None,
) -> Simulation:
    """Simulate `graphs` of `kind` (encoder, connector) on views of one mode; compare with `exact` by their names.

    The connector has no quantized products: ONNX Runtime runs it.
    """
    encoder, connector = graphs
    with SimulatedEngine(encoder) as simulated:
        tested = _embed(simulated, connector, views, manifest, kind=kind, threads=threads)
        linears = tuple(SimulatedLinear(name, count) for name, count in simulated.counts.items())
    agreement = compare({name: exact[name] for name in tested}, tested)
    return Simulation(kind, views[0].mode, len(tested), agreement, linears)


def _embed(
    encoder: Engine,
    connector: Path,
    views: Sequence[ViewInput],
    manifest: Manifest,
    *,
    kind: GraphKind,
    threads: int | None,
) -> dict[str, NDArray[np.float32]]:
    """Return the embeddings [tokens, d_llm] of each view by its name."""
    embeddings = {}
    with OnnxRuntimeEngine(connector, threads=threads) as second:
        for view in views:
            both_modes = manifest.graphs.get(view.mode, {}).get(kind, manifest.graphs[view.mode]["fp32"]).both_modes
            features = encoder.run(view.inputs(manifest.vision, both_modes=both_modes))
            embeddings[view.name] = second.run(features)["embeddings"][0]
    return embeddings
