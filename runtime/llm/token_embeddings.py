"""The language model's own token embeddings, so that text and images can be read in one batch.

A llama.cpp batch holds either token ids or embeddings. Between the views of a sliced image
are a few special tokens, and every small batch of those costs a pass over all weights: ten
views take nearly twice as long as the same tokens in one batch. With their embeddings
looked up here, tokens give the same logits, bit for bit.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.engines.interrupts import raise_interrupt_behind
from uhd_edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from uhd_edge.runtime.llm.llama_loading import ModelFacts

# Architectures whose graph takes the rows of the table as they are, neither scaled nor added to.
PLAIN_ARCHITECTURES = ("qwen2", "qwen2vl", "qwen3", "qwen35")

# ggml_type -> what turns its rows into float32 (`ggml.h`, `ggml-quants.h`).
TO_FLOAT = {
    1: "ggml_fp16_to_fp32_row",
    2: "dequantize_row_q4_0",
    3: "dequantize_row_q4_1",
    6: "dequantize_row_q5_0",
    7: "dequantize_row_q5_1",
    8: "dequantize_row_q8_0",
    10: "dequantize_row_q2_K",
    11: "dequantize_row_q3_K",
    12: "dequantize_row_q4_K",
    13: "dequantize_row_q5_K",
    14: "dequantize_row_q6_K",
    20: "dequantize_row_iq4_nl",
    23: "dequantize_row_iq4_xs",
    30: "ggml_bf16_to_fp32_row",
}
FLOAT32 = 0


class _GgufOptions(ctypes.Structure):
    """`gguf_init_params`: with `no_alloc` only the header is read."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


class TokenEmbeddings:
    """Rows of `token_embd.weight` in a GGUF file, mapped into memory and converted when looked up."""

    def __init__(self, table: NDArray[np.uint8], width: int, to_float: Any) -> None:
        self._table = table
        self._width = width
        self._to_float = to_float

    def rows(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the embeddings float32 [n, d] of token ids, exactly those llama.cpp would look up."""
        stored = self._table[np.asarray(tokens, np.int64)]
        rows = np.empty((len(stored), self._width), np.float32)
        if self._to_float is None:
            rows[:] = stored.view(np.float32)
            return rows
        self._to_float(
            stored.ctypes.data_as(ctypes.c_void_p), rows.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(rows.size)
        )
        return rows


def open_token_embeddings(path: Path, facts: ModelFacts, *, vocabulary_size: int) -> TokenEmbeddings | None:
    """Map the table of a GGUF file that llama.cpp has loaded; None when that is impossible.

    It is impossible for an architecture that is not in `PLAIN_ARCHITECTURES`, for a table in
    another part of a split file, for a type that is not in `TO_FLOAT`, and with a
    llama-cpp-python that keeps its library elsewhere. Text then goes in as token ids, which
    is only slower. On a canvas it cannot, and `ModelError` is raised.
    """
    table = None
    if facts.architecture in PLAIN_ARCHITECTURES:
        try:
            table = _open(path, vocabulary_size, facts.width)
        except (ImportError, AttributeError, OSError, RuntimeError) as error:
            raise_interrupt_behind(error)
    if table is None and facts.has_canvas:
        raise ModelError(
            f"{path}: positions on a canvas need the table of token embeddings, which cannot be read here; "
            "convert the language model to another type with --llm-type, such as q4_k_m"
        )
    return table


def _open(path: Path, vocabulary_size: int, width: int) -> TokenEmbeddings | None:
    from llama_cpp._ggml import libggml

    place = _place(libggml, path)
    if place is None:
        return None
    offset, size, kind = place
    if size % vocabulary_size or (kind != FLOAT32 and kind not in TO_FLOAT):
        return None
    table = np.memmap(path, np.uint8, "r", offset, (vocabulary_size, size // vocabulary_size))
    to_float = None
    if kind != FLOAT32:
        to_float = getattr(libggml, TO_FLOAT[kind], None)
        if to_float is None:
            return None
        to_float.restype = None
    return TokenEmbeddings(table, width, to_float)


def _place(library: Any, path: Path) -> tuple[int, int, int] | None:
    """Where the table begins in the file, its bytes and its ggml_type."""
    library.gguf_init_from_file.restype = ctypes.c_void_p
    library.gguf_find_tensor.restype = ctypes.c_int64
    for name in ("gguf_get_data_offset", "gguf_get_tensor_offset", "gguf_get_tensor_size"):
        getattr(library, name).restype = ctypes.c_size_t
    opened = library.gguf_init_from_file(os.fsencode(path), _GgufOptions(True, None))
    if not opened:
        return None
    header = ctypes.c_void_p(opened)
    try:
        tensor = ctypes.c_int64(library.gguf_find_tensor(header, b"token_embd.weight"))
        if tensor.value < 0:
            return None
        offset = library.gguf_get_data_offset(header) + library.gguf_get_tensor_offset(header, tensor)
        return offset, library.gguf_get_tensor_size(header, tensor), library.gguf_get_tensor_type(header, tensor)
    finally:
        library.gguf_free(header)
