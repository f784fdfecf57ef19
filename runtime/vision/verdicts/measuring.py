"""What one view takes a pair of TensorRT engines, and whether they fuse their attentions."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.graph_files import count_operators
from uhd_edge.engines.tensorrt.fused_attention import FusedAttention
from uhd_edge.runtime.images.synthetic_pictures import synthetic_pictures
from uhd_edge.runtime.vision.encoding import encode_views
from uhd_edge.runtime.vision.slicing import plan_views, slice_image

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.vision.slicing import View
    from uhd_edge.runtime.vision.verdicts.kept import Verdict
    from uhd_edge.runtime.vision.vision_engines import VisionEngines

# The first runs of a shape initialize it and capture its CUDA graph, see `uhd_edge.engines.tensorrt.executions`.
WARM_UP = 3
RUNS = 9


@runtime_checkable
class _Counts(Protocol):
    def count_fused_attentions(self) -> int | None: ...


def drawn_view(bundle: Bundle, engines: VisionEngines) -> tuple[str, tuple[View, ...]]:
    """Draw a picture of one view, the size that most views have; returns its name and the view."""
    preprocessing = bundle.manifest.preprocessing
    name, picture = synthetic_pictures(preprocessing.scale_resolution)[0]
    plan = plan_views(*picture.size, preprocessing, mode=engines.mode, max_slices=1)
    return name, slice_image(picture, plan).views


def measured(bundle: Bundle, engines: VisionEngines, graph: Path, verdict: Verdict) -> Verdict:
    """Add to `verdict` what a drawn view takes `engines`, and how many attentions of the encoder's `graph` are fused.

    Where the engines fail at it, nothing is added.
    """
    try:
        _, views = drawn_view(bundle, engines)
        times = [_milliseconds(engines, views) for _ in range(WARM_UP + RUNS)][WARM_UP:]
        encoder = engines.encoder
        fused = encoder.count_fused_attentions() if isinstance(encoder, _Counts) else None
    except EngineError:
        return verdict
    attentions = count_operators(graph, "Softmax")
    attention = None if fused is None or attentions == 0 else FusedAttention(fused, attentions)
    return verdict.model_copy(update={"milliseconds": round(statistics.median(times), 3), "fused_attention": attention})


def _milliseconds(engines: VisionEngines, views: tuple[View, ...]) -> float:
    timings: dict[str, float] = {}
    encode_views(engines, views, timings)
    return timings["encoder"] + timings["connector"]
