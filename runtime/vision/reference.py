"""The engines that every other engine is compared with: FP32 ones, where the bundle has them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.vision.vision_engines import VisionEngines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

# ONNX Runtime's CPU provider has no FP16 products on x86: it sums up in FP32 what FP16 graphs multiply. So they show
# what an engine gets wrong. Where it has such products, on some ARM, they show less.
ReferenceKind: TypeAlias = Literal["fp32", "fp16"]


def reference_kind(bundle: Bundle, mode: Mode) -> ReferenceKind | None:
    """Return the graphs that engines of `mode` are compared with; None if the bundle has no such graphs."""
    kinds: tuple[ReferenceKind, ...] = ("fp32", "fp16")
    return next((kind for kind in kinds if kind in bundle.manifest.graphs.get(mode, {})), None)


def describe_reference(kind: ReferenceKind) -> str:
    """Name the reference in a sentence."""
    return "FP32" if kind == "fp32" else "its FP16 graphs on the CPU (it has none in FP32)"


@contextmanager
def reference_engines(bundle: Bundle, mode: Mode, threads: int | None) -> Iterator[VisionEngines]:
    """Open the graphs of `reference_kind` on ONNX Runtime's CPU provider, and close them afterwards.

    Raises `EngineUnavailableError` when the bundle has no such graphs.
    """
    kind = reference_kind(bundle, mode) or "fp32"
    encoder, connector = bundle.graphs(mode, kind)
    both_modes = bundle.manifest.graphs[mode][kind].both_modes
    with OnnxRuntimeEngine(encoder, threads=threads) as first, OnnxRuntimeEngine(connector, threads=threads) as second:
        yield VisionEngines(first, second, bundle.manifest, mode, kind, both_modes)
