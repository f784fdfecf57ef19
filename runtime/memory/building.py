"""What building engines takes, one after the other, and what comparing them with FP32 does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.engines.building.builder import WORKSPACE
from uhd_edge.engines.graph_files import graph_files
from uhd_edge.runtime.memory.measured import (
    BUILDING_PROGRAM,
    BUILDING_WEIGHTS,
    JETSON_CUDA,
    JETSON_PARSER_COPY,
    PROGRAM,
)
from uhd_edge.runtime.memory.need import MemoryNeed, MemoryPart
from uhd_edge.runtime.memory.vision import HALF, activation_bytes, is_fused, weight_bytes
from uhd_edge.runtime.vision.encoding import views_at_once
from uhd_edge.runtime.vision.reference import ReferenceKind, reference_kind
from uhd_edge.runtime.vision.slicing import usual_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.engines.building.build import EngineOrder
    from uhd_edge.engines.building.targets import Target
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

# What the weights of a reference take, in sizes of their files: FP16 ones are copied to FP32. Measured on a Zen 4 with
# ONNX Runtime 1.32.
COPIES: dict[ReferenceKind, float] = {"fp32": 1, "fp16": 2.3}


def build_need(bundle: Bundle, orders: Sequence[EngineOrder], target: Target, *, is_shared: bool = True) -> MemoryNeed:
    """Predict the peak of building `orders`, which is that of the largest graph.

    Where the GPU has memory of its own and not that of the CPU (`is_shared`), this is the CPU's: `card_build_need`
    has the other.

    Raises `EngineError` for a graph that cannot be read.
    """
    largest = max(orders, key=lambda order: _graph_bytes(bundle, order))
    weights = _graph_bytes(bundle, largest)
    times = BUILDING_WEIGHTS[largest.precision]
    graph = f"the files of {largest.graph}"
    if target.backend == "tensorrt-rtx":
        return MemoryNeed(
            (
                MemoryPart("program", BUILDING_PROGRAM, "Python and TensorRT-RTX, measured"),
                MemoryPart("weights", round(weights * times), f"{graph}, {times:g} times: measured"),
            )
        )
    of_the_cpu = (
        MemoryPart("CUDA", JETSON_CUDA, "CUDA and TensorRT: assumed, not measured"),
        MemoryPart("weights", round(weights * (times + JETSON_PARSER_COPY)), f"{graph}, as TensorRT-RTX and a copy"),
    )
    return MemoryNeed((*of_the_cpu, *_scratch(bundle, largest)) if is_shared else of_the_cpu)


def card_build_need(bundle: Bundle, orders: Sequence[EngineOrder]) -> MemoryNeed:
    """Predict what building `orders` takes of a card with memory of its own. Not measured. Raises as `build_need`."""
    largest = max(orders, key=lambda order: _graph_bytes(bundle, order))
    weights = MemoryPart("weights", _graph_bytes(bundle, largest), f"the files of {largest.graph}")
    return MemoryNeed((weights, *_scratch(bundle, largest)))


def _scratch(bundle: Bundle, order: EngineOrder) -> tuple[MemoryPart, MemoryPart]:
    return (
        MemoryPart("workspace", WORKSPACE, "the limit that both builders are given"),
        MemoryPart("activations", order_activations(bundle, order), "the largest profile, not fused: assumed"),
    )


def verify_need(bundle: Bundle, modes: Sequence[Mode]) -> MemoryNeed:
    """Predict the peak of comparing engines with FP32 on a CPU whose GPU shares its memory, a mode at a time.

    FP16 graphs, where they are the reference, are held as they are and in FP32. Raises `EngineUnavailableError`
    where a mode has neither.
    """
    vision, preprocessing = bundle.manifest.vision, bundle.manifest.preprocessing
    kinds: dict[Mode, ReferenceKind] = {mode: reference_kind(bundle, mode) or "fp32" for mode in modes}
    counts: dict[Mode, int] = {mode: usual_view(preprocessing, mode) for mode in modes}
    activations = max(
        activation_bytes(vision, views_at_once(patches), patches, fused=is_fused(bundle, mode, kinds[mode]))
        for mode, patches in counts.items()
    )
    weights = max(round(sum(weight_bytes(bundle, (mode,), kind)) * COPIES[kind]) for mode, kind in kinds.items())
    return MemoryNeed(
        (
            MemoryPart("program", PROGRAM, "Python and libraries, measured on x86"),
            MemoryPart("CUDA", JETSON_CUDA, "CUDA and TensorRT, open all the time: assumed, not measured"),
            MemoryPart("vision weights", weights, "the reference's graphs, in FP32"),
            MemoryPart("activations", activations, "the views in one batch, by the tower's sizes; factors measured"),
        )
    )


def order_activations(bundle: Bundle, order: EngineOrder) -> int:
    """Bytes of the largest batch that an engine accepts, in halves, if its attention is not fused."""
    boxes = [profile["patches"].largest for profile in order.profiles if "patches" in profile]
    vision = bundle.manifest.vision
    sizes = (activation_bytes(vision, views, patches, number_bytes=HALF) for views, patches, *_ in boxes)
    return max(sizes, default=0)


def _graph_bytes(bundle: Bundle, order: EngineOrder) -> int:
    return sum(file.stat().st_size for file in graph_files(bundle.path / order.graph))
