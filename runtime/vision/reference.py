"""The FP32 engines that every other engine is compared with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.vision.vision_engines import VisionEngines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode


@contextmanager
def reference_engines(bundle: Bundle, mode: Mode, threads: int | None) -> Iterator[VisionEngines]:
    """Open the FP32 graphs on ONNX Runtime's CPU provider, and close them afterwards.

    Raises `EngineUnavailableError` when the bundle has no FP32 graphs.
    """
    encoder, connector = bundle.graphs(mode, "fp32")
    both_modes = bundle.manifest.graphs[mode]["fp32"].both_modes
    with OnnxRuntimeEngine(encoder, threads=threads) as first, OnnxRuntimeEngine(connector, threads=threads) as second:
        yield VisionEngines(first, second, bundle.manifest, mode, "fp32", both_modes)
