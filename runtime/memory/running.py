"""What answering questions takes: program, vision engine, language model, and what is kept of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from uhd_edge.runtime.checking.building import KINDS, engine_orders
from uhd_edge.runtime.memory.building import order_activations
from uhd_edge.runtime.memory.language_model import ConversationSettings, language_model_parts
from uhd_edge.runtime.memory.measured import (
    ACTIVATIONS_KEPT_BY_INT8,
    JETSON_CONTEXTS,
    JETSON_CUDA,
    ONNXRUNTIME_INT8_WEIGHTS,
    PROGRAM,
)
from uhd_edge.runtime.memory.need import MemoryNeed, MemoryPart
from uhd_edge.runtime.memory.vision import activation_bytes, weight_bytes
from uhd_edge.runtime.vision.encoder import CACHE_BYTES
from uhd_edge.runtime.vision.encoding import views_at_once
from uhd_edge.runtime.vision.slicing import usual_view

if TYPE_CHECKING:
    from uhd_edge.engines.building.build import BuiltPrecision
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode


@dataclass(frozen=True)
class RunSettings:
    """How a bundle is run: `modes` are open at a time, `max_slices` and `largest_view` None as the bundle's.

    `context` is in tokens, for each of `conversations`. With a `language_model_type`, the language model
    counts as if it had been exported with that one.
    """

    modes: tuple[Mode, ...]
    max_slices: int | None = None
    largest_view: int | None = None
    context: int = 4096
    conversations: int = 1
    language_model_type: str | None = None

    @property
    def conversation(self) -> ConversationSettings:
        """What the language model is opened with."""
        return ConversationSettings(self.context, self.conversations, self.language_model_type)


def cpu_need(bundle: Bundle, settings: RunSettings, precision: Literal["fp32", "int8"]) -> MemoryNeed:
    """Predict the peak of `uhd ask` on a CPU with ONNX Runtime, for pictures that are not thin.

    Raises `EngineUnavailableError` where the bundle has no such graphs, and `ModelError`.
    """
    vision, preprocessing = bundle.manifest.vision, bundle.manifest.preprocessing
    encoders, connectors = weight_bytes(bundle, settings.modes, precision)
    packing = ONNXRUNTIME_INT8_WEIGHTS if precision == "int8" else 1.0
    activations = 0
    for mode in settings.modes:
        patches = usual_view(preprocessing, mode)
        slices = preprocessing.max_slices if settings.max_slices is None else settings.max_slices
        views = 1 if slices == 1 else min(slices + 1, views_at_once(patches))
        activations = max(activations, activation_bytes(vision, views, patches))
    if precision == "int8":
        activations = round(activations * ACTIVATIONS_KEPT_BY_INT8)
    return MemoryNeed(
        (
            MemoryPart("program", PROGRAM, "Python and libraries, measured"),
            MemoryPart(
                "vision weights",
                round(encoders * packing) + connectors,
                f"the {precision} graphs' files" + (f", encoders {packing:g} times: measured" if packing != 1 else ""),
            ),
            MemoryPart("activations", activations, "the views in one batch, by the tower's sizes; factors measured"),
            *language_model_parts(bundle, settings.conversation),
        )
    )


def jetson_need(bundle: Bundle, settings: RunSettings, precision: BuiltPrecision) -> MemoryNeed:
    """Predict what `uhd ask` takes with TensorRT engines where CPU and GPU share the memory; not measured.

    Raises as `cpu_need` does, and `OptionError` for shapes that cannot be.
    """
    encoders, connectors = weight_bytes(bundle, settings.modes, KINDS[precision])
    orders = engine_orders(
        bundle,
        modes=settings.modes,
        precision=precision,
        max_slices=settings.max_slices,
        largest=settings.largest_view,
    )
    return MemoryNeed(
        (
            MemoryPart("program", PROGRAM, "Python and libraries, measured on x86"),
            MemoryPart("CUDA", JETSON_CUDA + JETSON_CONTEXTS, "CUDA, TensorRT and contexts: assumed, not measured"),
            MemoryPart(
                "engines", encoders + connectors, f"the {precision} graphs' files, which engines are no larger than"
            ),
            MemoryPart(
                "activations",
                max(order_activations(bundle, order) for order in orders),
                "the largest profile, if attention is not fused",
            ),
            *language_model_parts(bundle, settings.conversation, on_gpu=True),
            MemoryPart("embedding cache", CACHE_BYTES, "its limit"),
        )
    )
