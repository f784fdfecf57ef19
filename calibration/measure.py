"""Measure how close quantized graphs are to FP32 by comparing the embeddings of real views."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.calibration.work import pass_cost
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.vision.comparison import row_cosines

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from uhd_edge.calibration.pictures import ViewInput
    from uhd_edge.calibration.work import Work
    from uhd_edge.engines.onnxruntime import Int8Products
    from uhd_edge.runtime.bundles.manifest import Manifest, Threshold
    from uhd_edge.runtime.modes import Mode

    Embeddings = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Agreement:
    """The agreement of embeddings with those of FP32, over all views of the pictures measured on.

    Cosines are per view, or per token; `largest_error` is the largest absolute difference of
    two values.
    """

    lowest_cosine: float
    mean_cosine: float
    lowest_token_cosine: float
    largest_error: float
    worst_view: str

    def reaches(self, threshold: Threshold) -> bool:
        """Whether both lowest cosines reach the threshold."""
        return self.lowest_cosine >= threshold.cosine and self.lowest_token_cosine >= threshold.token_cosine


@dataclass(frozen=True)
class Measurement:
    """The views to measure on, and the number of cores to use."""

    manifest: Manifest
    views: Sequence[ViewInput]
    threads: int | None
    work: Work

    @property
    def cost(self) -> float:
        """What one pass over all views costs, in the units of `Work`."""
        return self.cost_of(self.views)

    def cost_of(self, views: Sequence[ViewInput]) -> float:
        """What a pass over some of the views costs."""
        return sum(pass_cost(self.manifest.vision, view.mode) for view in views)

    def embed(
        self,
        encoders: Mapping[Mode, Path],
        connectors: Sequence[Mapping[Mode, Path]],
        products: Int8Products = "integers",
        first: Sequence[str] = (),
    ) -> Generator[tuple[str, list[NDArray[np.float32]]], None, None]:
        """Run the graphs and yield each view's name and its embeddings [tokens, d_llm] by each of `connectors`.

        Views named in `first` come first.
        """
        for encoder_file in dict.fromkeys(encoders.values()):
            with ExitStack() as stack:
                open_engine = _opener(stack, self.threads, products)
                encoder = open_engine(encoder_file)
                for view in sorted(self.views, key=lambda view: view.name not in first):
                    if encoders[view.mode] != encoder_file:
                        continue
                    both_modes = self.manifest.graphs[view.mode]["fp32"].both_modes
                    features = encoder.run(view.inputs(self.manifest.vision, both_modes=both_modes))
                    self.work.done(pass_cost(self.manifest.vision, view.mode))
                    yield (
                        view.name,
                        [open_engine(files[view.mode]).run(features)["embeddings"][0] for files in connectors],
                    )


def compare(exact: Embeddings, tested: Embeddings) -> Agreement:
    """Compare the embeddings of the views in `tested`; non-finite embeddings never agree."""
    views = {name: row_cosines(exact[name].reshape(1, -1), tested[name].reshape(1, -1)).item() for name in tested}
    tokens = [float(row_cosines(exact[name], tested[name]).min()) for name in tested]
    errors = [float(np.abs(exact[name] - tested[name]).max()) for name in tested]
    worst = min(views, key=lambda name: views[name])
    return Agreement(
        lowest_cosine=views[worst],
        mean_cosine=float(np.mean(list(views.values()))),
        lowest_token_cosine=min(tokens),
        largest_error=max(errors),
        worst_view=worst,
    )


def _opener(stack: ExitStack, threads: int | None, products: Int8Products) -> Callable[[Path], OnnxRuntimeEngine]:
    """Open each graph once, until `stack` ends."""
    engines: dict[Path, OnnxRuntimeEngine] = {}

    def open_engine(file: Path) -> OnnxRuntimeEngine:
        if file not in engines:
            engines[file] = stack.enter_context(OnnxRuntimeEngine(file, threads=threads, products=products))
        return engines[file]

    return open_engine
