"""Measure how close quantized graphs are to FP32 by comparing the embeddings of real views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.checking.comparison import row_cosines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from uhd_edge.calibration.pictures import Pictures
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
    """The pictures to measure on, and the number of cores to use."""

    manifest: Manifest
    pictures: Pictures
    threads: int | None

    def embed(
        self, graphs: Mapping[Mode, tuple[Path, Path]], products: Int8Products = "integers"
    ) -> dict[str, NDArray[np.float32]]:
        """Run the graphs of each mode -> embeddings [tokens, d_llm] by the view's name."""
        embeddings: dict[str, NDArray[np.float32]] = {}
        for mode, (encoder_file, connector_file) in graphs.items():
            both_modes = self.manifest.graphs[mode]["fp32"].both_modes
            with (
                OnnxRuntimeEngine(encoder_file, threads=self.threads, products=products) as encoder,
                OnnxRuntimeEngine(connector_file, threads=self.threads, products=products) as connector,
            ):
                for view in self.pictures.views(self.manifest, mode):
                    features = encoder.run(view.inputs(self.manifest.vision, both_modes=both_modes))
                    embeddings[view.name] = connector.run(features)["embeddings"][0]
        return embeddings


def compare(exact: Embeddings, tested: Embeddings) -> Agreement:
    """Compare the embeddings of the same views; non-finite embeddings never agree."""
    views = {name: row_cosines(exact[name].reshape(1, -1), tested[name].reshape(1, -1)).item() for name in exact}
    tokens = [float(row_cosines(exact[name], tested[name]).min()) for name in exact]
    errors = [float(np.abs(exact[name] - tested[name]).max()) for name in exact]
    worst = min(views, key=lambda name: views[name])
    return Agreement(
        lowest_cosine=views[worst],
        mean_cosine=float(np.mean(list(views.values()))),
        lowest_token_cosine=min(tokens),
        largest_error=max(errors),
        worst_view=worst,
    )
