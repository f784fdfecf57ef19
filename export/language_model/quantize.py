"""The types in which a language model's weights can be stored, and the conversion to one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.engines.threads import usable_cores
from uhd_edge.export.language_model.llama_process import run_worker
from uhd_edge.runtime.errors import ExportError, UhdError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class FileType:
    """One of llama.cpp's file types: its number in `enum llama_ftype`, and roughly the bits per weight."""

    number: int
    bits: float


# The types that llama.cpp can make without an importance matrix. Bits per weight are from its table for an
# 8 B model.
FILE_TYPES = {
    "f32": FileType(0, 32),
    "f16": FileType(1, 16),
    "bf16": FileType(32, 16),
    "q8_0": FileType(7, 8.5),
    "q6_k": FileType(18, 6.6),
    "q5_k_m": FileType(17, 5.7),
    "q5_k_s": FileType(16, 5.6),
    "q5_1": FileType(9, 6.0),
    "q5_0": FileType(8, 5.5),
    "q4_k_m": FileType(15, 4.9),
    "q4_k_s": FileType(14, 4.7),
    "q4_1": FileType(3, 5.0),
    "q4_0": FileType(2, 4.5),
    "iq4_nl": FileType(25, 4.5),
    "iq4_xs": FileType(30, 4.3),
    "q3_k_l": FileType(13, 4.3),
    "q3_k_m": FileType(12, 4.0),
    "q3_k_s": FileType(11, 3.6),
    "q2_k": FileType(10, 3.2),
}
# The converter writes these itself. The others are quantized from one of these.
UNQUANTIZED = ("f32", "f16", "bf16")


def file_type(name: str) -> FileType:
    """Look up `name`, in upper or lower case; raises `ExportError` with the list of valid names."""
    found = FILE_TYPES.get(name.lower())
    if found is None:
        raise ExportError(f"no language model type {name!r}; valid are {', '.join(FILE_TYPES)}")
    return found


def name_of_type(number: int | None) -> str:
    """The name of the file type `number`; `unknown` if it is None or not in `FILE_TYPES`."""
    return next((name for name, known in FILE_TYPES.items() if known.number == number), "unknown")


def quantize(source: Path, target: Path, llm_type: str, *, watch: Callable[[], None] | None = None) -> None:
    """Write `source`, an unquantized GGUF, to `target` with weights of `llm_type`.

    A type has blocks of 256 weights (k-quants) or 32 (the others). Where a row's length is no
    multiple of that, llama.cpp stores the tensor in the next larger type that fits. Raises
    `ExportError`.
    """
    number = file_type(llm_type).number

    def not_quantized(reason: str) -> UhdError:
        return ExportError(f"the language model cannot be quantized to {llm_type}: {reason}")

    run_worker(
        "quantize",
        str(source.resolve()),
        str(target.resolve()),
        str(number),
        str(usable_cores()),
        error=not_quantized,
        folder=target.parent,
        watch=watch,
    )
