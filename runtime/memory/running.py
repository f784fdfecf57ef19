"""What answering questions takes: program, vision engine, language model, and what is kept of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from uhd_edge.engines.processor import int8_overflows, this_processor
from uhd_edge.runtime.checking.building import KINDS
from uhd_edge.runtime.memory.building import order_activations
from uhd_edge.runtime.memory.language_model import ConversationSettings, language_model_parts
from uhd_edge.runtime.memory.measured import (
    ACTIVATIONS_KEPT_BY_INT8,
    JETSON_CONTEXTS,
    JETSON_CUDA,
    ONNXRUNTIME_EXACT_WEIGHTS,
    PROGRAM,
)
from uhd_edge.runtime.memory.need import MemoryNeed, MemoryPart
from uhd_edge.runtime.memory.vision import activation_bytes, is_fused, weight_bytes
from uhd_edge.runtime.vision.encoder import CACHE_BYTES
from uhd_edge.runtime.vision.encoding import views_at_once
from uhd_edge.runtime.vision.slicing import usual_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.engines.building.build import EngineOrder
    from uhd_edge.engines.processor import Processor
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

CpuPrecision: TypeAlias = Literal["fp32", "int8"]


@dataclass(frozen=True)
class RunSettings:
    """How a bundle is run: `modes` are open at a time, `max_slices` None is the bundle's.

    `context` is in tokens, for each of `conversations`. With a `language_model_type`, the language model
    counts as if it had been exported with that one.
    """

    modes: tuple[Mode, ...]
    max_slices: int | None = None
    context: int = 4096
    conversations: int = 1
    language_model_type: str | None = None

    @property
    def conversation(self) -> ConversationSettings:
        """What the language model is opened with."""
        return ConversationSettings(self.context, self.conversations, self.language_model_type)


def cpu_need(
    bundle: Bundle, settings: RunSettings, precision: CpuPrecision, processor: Processor | None = None
) -> MemoryNeed:
    """Predict the peak of `uhd ask` on a CPU with ONNX Runtime, for pictures that are not thin.

    `processor` is this machine's by default.

    Raises `EngineUnavailableError` where the bundle has no such graphs, and `ModelError`.
    """
    vision = cpu_vision_parts(bundle, settings, precision, processor)
    return MemoryNeed((*vision, *language_model_parts(bundle, settings.conversation)))


def cpu_vision_parts(
    bundle: Bundle, settings: RunSettings, precision: CpuPrecision, processor: Processor | None = None
) -> tuple[MemoryPart, ...]:
    """List the parts of `cpu_need` but those of the language model."""
    vision, preprocessing = bundle.manifest.vision, bundle.manifest.preprocessing
    encoders, connectors = weight_bytes(bundle, settings.modes, precision)
    here = this_processor() if processor is None else processor
    exactly = precision == "int8" and any(
        int8_overflows(bundle.graphs(mode, "int8")[0], here) for mode in settings.modes
    )
    packing = ONNXRUNTIME_EXACT_WEIGHTS if exactly else 1.0
    activations = 0
    for mode in settings.modes:
        patches = usual_view(preprocessing, mode)
        slices = preprocessing.max_slices if settings.max_slices is None else settings.max_slices
        views = 1 if slices == 1 else min(slices + 1, views_at_once(patches))
        fused = is_fused(bundle, mode, precision)
        activations = max(activations, activation_bytes(vision, views, patches, fused=fused))
    if precision == "int8":
        activations = round(activations * ACTIVATIONS_KEPT_BY_INT8)
    times = f", encoders {packing:g} times: measured" if exactly else ""
    return (
        MemoryPart("program", PROGRAM, "Python and libraries, measured"),
        MemoryPart("vision weights", round(encoders * packing) + connectors, f"the {precision} graphs' files{times}"),
        MemoryPart("activations", activations, "the views in one batch, by the tower's sizes; factors measured"),
    )


def jetson_vision_parts(bundle: Bundle, orders: Sequence[EngineOrder], modes: Sequence[Mode]) -> tuple[MemoryPart, ...]:
    """List what `uhd ask` takes with the TensorRT engines of `orders` where CPU and GPU share the memory.

    The language model is left out. Nothing of it was measured. Raises `EngineUnavailableError` as `cpu_need` does.
    """
    precision = orders[0].precision
    encoders, connectors = weight_bytes(bundle, modes, KINDS[precision])
    activations = max(order_activations(bundle, order) for order in orders)
    return (
        MemoryPart("program", PROGRAM, "Python and libraries, measured on x86"),
        MemoryPart("CUDA", JETSON_CUDA + JETSON_CONTEXTS, "CUDA, TensorRT and contexts: assumed, not measured"),
        MemoryPart("engines", encoders + connectors, f"the {precision} graphs' files, as large as engines"),
        MemoryPart("activations", activations, "the largest profile, if attention is not fused"),
        MemoryPart("embedding cache", CACHE_BYTES, "its limit"),
    )


def gpu_run_need(bundle: Bundle, orders: Sequence[EngineOrder], modes: Sequence[Mode]) -> MemoryNeed:
    """Predict the peak of `uhd ask` with the engines of `orders` and the language model on a GPU that shares memory.

    Its context is that of `uhd ask` by default. Raises as `cpu_need` does.
    """
    parts = language_model_parts(bundle, ConversationSettings(), on_gpu=True)
    return MemoryNeed((*jetson_vision_parts(bundle, orders, modes), *parts))


def card_run_needs(
    bundle: Bundle, orders: Sequence[EngineOrder], modes: Sequence[Mode]
) -> tuple[MemoryNeed, MemoryNeed]:
    """Predict what `uhd ask` takes of a card with memory of its own, without the language model, and that model alone.

    Raises as `cpu_need` does.
    """
    shared = jetson_vision_parts(bundle, orders, modes)
    own = MemoryNeed(tuple(part for part in shared if part.name not in ("program", "embedding cache")))
    return own, MemoryNeed(language_model_parts(bundle, ConversationSettings(), on_gpu=True))
