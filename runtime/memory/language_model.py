"""What a language model takes: its weights, what it keeps of a conversation, and room to compute in."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from uhd_edge.engines.processor import this_processor
from uhd_edge.runtime.llm.language_model import BATCH
from uhd_edge.runtime.memory.gguf_sizes import read_gguf_sizes
from uhd_edge.runtime.memory.measured import (
    COMPUTE_IN_WIDTHS,
    COMPUTE_IN_WIDTHS_OF_HYBRID,
    PACKED_ON_ARM,
    PACKED_ON_X86,
    VOCABULARY_TOKEN,
)
from uhd_edge.runtime.memory.need import MemoryPart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.memory.gguf_sizes import GgufSizes

_CACHE_BYTES = 2  # F16
_STATE_BYTES = 4  # F32
_CELLS = 256  # llama.cpp rounds a context up to a multiple of it


# Bits of a weight in the types that an export writes, as llama.cpp counts them.
BITS: Final[Mapping[str, float]] = MappingProxyType(
    {"f32": 32.0, "f16": 16.0, "bf16": 16.0, "q8_0": 8.5, "q6_k": 6.56, "q5_k_m": 5.69, "q4_k_m": 4.85}
)


@dataclass(frozen=True)
class ConversationSettings:
    """What a language model is opened with: `context` tokens for each of the `conversations`.

    With an `llm_type`, its file counts as if it had been exported with that one.
    """

    context: int = 4096
    conversations: int = 1
    llm_type: str | None = None


def smaller_types(llm_type: str) -> list[str]:
    """List the common types that take less than `llm_type`, the largest first; none for an unknown one."""
    bits = BITS.get(llm_type.lower(), 0.0)
    return [name for name in ("q8_0", "q4_k_m") if BITS[name] < bits]


def language_model_parts(
    bundle: Bundle, settings: ConversationSettings, *, sizes: GgufSizes | None = None, on_gpu: bool = False
) -> tuple[MemoryPart, ...]:
    """List what the bundle's language model takes.

    `sizes` are those of its file, where they have been read. On a GPU that shares its memory with the CPU
    (`on_gpu`) the weights are copied there, and nothing is packed.
    Raises `ModelError` for a file that is no GGUF.
    """
    sizes, own = sizes or read_gguf_sizes(bundle.llm_path), bundle.manifest.llm
    tokens = min(settings.context, sizes.trained_context or settings.context)
    cells = -(-tokens // _CELLS) * _CELLS * settings.conversations
    kept = sizes.cache_numbers * _CACHE_BYTES
    state = sizes.recurrent_numbers * _STATE_BYTES * settings.conversations
    widths = COMPUTE_IN_WIDTHS_OF_HYBRID if state else COMPUTE_IN_WIDTHS
    compute = 4 * widths * sizes.width * min(BATCH, tokens)
    weights, source = sizes.file_bytes, f"the size of {own.file}"
    if settings.llm_type is not None:
        weights = round(weights * BITS[settings.llm_type] / BITS[own.type.lower()])
        source = f"{source}, as {settings.llm_type} instead of {own.type}"
    return (
        MemoryPart("language model", weights, source),
        MemoryPart(
            "packed language model",
            0 if on_gpu else _packed_bytes(sizes),
            "what llama.cpp packs for this processor, from the GGUF's header",
        ),
        MemoryPart("KV cache", cells * kept, f"{cells} tokens of {kept} bytes, from the GGUF's header"),
        MemoryPart("recurrent state", state, "by conversation, from the GGUF's header"),
        MemoryPart(
            "llama.cpp", compute + own.vocabulary_size * VOCABULARY_TOKEN, "batches and vocabulary; factors measured"
        ),
    )


def _packed_bytes(sizes: GgufSizes) -> int:
    types = PACKED_ON_X86 if this_processor().is_x86 else PACKED_ON_ARM
    return sum(count for kind, count in sizes.bytes_by_type.items() if kind in types)
