"""One chunk of a prompt as llama.cpp's `llama_batch`: token ids, or embeddings in their place.

`llama_batch_init` allocates one position per embedding, but a model with M-RoPE (Qwen3.5)
reads four, so the struct is built here by hand.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from uhd_edge.runtime.llm.chunks import PromptChunk

# Sections of an M-RoPE position: time, height, width, and one that is unused.
MROPE_SECTIONS = 4


@dataclass(frozen=True)
class Batch:
    """A `llama_batch` (`struct`) and the arrays it points into, which must live as long."""

    struct: Any
    size: int
    arrays: tuple[NDArray[Any], ...]


def prompt_batch(api: Any, chunk: PromptChunk, first: int, *, mrope: bool, want_logits: bool) -> Batch:
    """Make a batch of token ids, or of embeddings float32 [n, d], at the positions from `first` on."""
    if isinstance(chunk, list):
        return token_batch(api, chunk, first, want_logits=want_logits)
    return embedding_batch(api, chunk, first, mrope=mrope, want_logits=want_logits)


def token_batch(api: Any, tokens: Sequence[int], first: int, *, want_logits: bool) -> Batch:
    """`tokens` at the positions from `first` on; `want_logits` asks for the last one's.

    One position per token even with M-RoPE: llama.cpp repeats a token's position in all
    sections (`llama_batch_allocr::ubatch_add`).
    """
    ids = np.array(tokens, np.int32)
    positions = np.arange(first, first + len(ids), dtype=np.int32)
    logits = _only_last(len(ids), want_logits)
    struct = api.llama_batch(
        n_tokens=len(ids),
        token=ids.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
        pos=positions.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
        logits=logits.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
    )
    return Batch(struct, len(ids), (ids, positions, logits))


def embedding_batch(api: Any, embeddings: NDArray[np.float32], first: int, *, mrope: bool, want_logits: bool) -> Batch:
    """`embeddings` float32 [n, d] at the positions from `first` on.

    With `mrope` the positions are laid out section by section. Time, height and width all
    count on as for text: MiniCPM-V 4.6 gives image tokens no positions in the plane.
    """
    rows = np.ascontiguousarray(embeddings, np.float32)
    count = len(rows)
    positions = np.arange(first, first + count, dtype=np.int32)
    if mrope:
        positions = np.concatenate([positions] * (MROPE_SECTIONS - 1) + [np.zeros(count, np.int32)])
    logits = _only_last(count, want_logits)
    struct = api.llama_batch(
        n_tokens=count,
        embd=rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
        pos=positions.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
        logits=logits.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
    )
    return Batch(struct, count, (rows, positions, logits))


def _only_last(count: int, wanted: bool) -> NDArray[np.int8]:
    flags = np.zeros(count, np.int8)
    flags[-1] = wanted
    return flags
