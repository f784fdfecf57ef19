"""What llama.cpp reads at once, as its `llama_batch`: a chunk of a prompt, or the next tokens of several conversations.

`llama_batch_init` allocates one position per embedding, but a model with M-RoPE (Qwen3.5)
reads four, so the struct is built here by hand.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.llm.chunks import PromptChunk
    from uhd_edge.runtime.llm.token_embeddings import TokenEmbeddings

# int32 [3, n]: time, height and width of n tokens.
Positions: TypeAlias = NDArray[np.int32]

# Sections of an M-RoPE position: time, height, width, and one that is unused.
MROPE_SECTIONS = 4


@dataclass(frozen=True)
class Batch:
    """A `llama_batch` (`struct`) and the arrays it points into, which must live as long."""

    struct: Any
    size: int
    arrays: tuple[Any, ...]


@dataclass(frozen=True)
class NextToken:
    """The token that a conversation reads next, at `position`; `sequence` is the number of the conversation.

    `place` is where it stands on a canvas, in time, height and width alike.
    """

    sequence: int
    position: int
    token: int
    place: int


def prompt_batch(
    api: Any, chunk: PromptChunk, first: int, *, mrope: bool, want_logits: bool, sequence: int = 0
) -> Batch:
    """Make a batch of token ids, or of embeddings float32 [n, d], at the positions from `first` on."""
    if isinstance(chunk, list):
        return token_batch(api, chunk, first, want_logits=want_logits, sequence=sequence)
    return embedding_batch(api, chunk, first, mrope=mrope, want_logits=want_logits, sequence=sequence)


def token_batch(api: Any, tokens: Sequence[int], first: int, *, want_logits: bool, sequence: int = 0) -> Batch:
    """`tokens` at the positions from `first` on; `want_logits` asks for the last one's.

    One position per token even with M-RoPE: llama.cpp repeats a token's position in all
    sections (`llama_batch_allocr::ubatch_add`).
    """
    ids = np.array(tokens, np.int32)
    positions = np.arange(first, first + len(ids), dtype=np.int32)
    return _batch(api, ids, positions, _only_last(len(ids), want_logits), [sequence] * len(ids))


def next_tokens_batch(api: Any, tokens: Sequence[NextToken]) -> Batch:
    """The next tokens of several conversations, in this order; asks for the logits of all.

    This runs for every token, so the few numbers go into arrays of ctypes, which take a third of the time of NumPy's.
    """
    count = len(tokens)
    numbers = ctypes.c_int32 * count
    ids, positions = numbers(*[one.token for one in tokens]), numbers(*[one.position for one in tokens])
    wanted = (ctypes.c_int8 * count)(*[1] * count)
    struct = api.llama_batch(n_tokens=count, token=ids, pos=positions, logits=wanted)
    sequences = [one.sequence for one in tokens]
    return Batch(struct, count, (ids, positions, wanted, *_say_sequences(struct, sequences)))


def embedding_batch(
    api: Any,
    embeddings: NDArray[np.float32],
    first: int,
    *,
    mrope: bool,
    want_logits: bool,
    sequence: int = 0,
) -> Batch:
    """`embeddings` float32 [n, d] at the positions from `first` on.

    With `mrope` the positions are laid out section by section. Time, height and width all
    count on as for text: MiniCPM-V 4.6 gives image tokens no positions in the plane.
    """
    rows = np.ascontiguousarray(embeddings, np.float32)
    count = len(rows)
    positions = np.arange(first, first + count, dtype=np.int32)
    if mrope:
        positions = np.concatenate([positions] * (MROPE_SECTIONS - 1) + [np.zeros(count, np.int32)])
    return _batch(api, rows, positions, _only_last(count, want_logits), [sequence] * count)


def canvas_batch(
    api: Any,
    embeddings: NDArray[np.float32],
    first: int,
    positions: Positions,
    *,
    want_logits: bool,
    sequence: int = 0,
) -> Batch:
    """`embeddings` float32 [n, d], the tokens from number `first` on, at `positions` int32 [3, n] in time and plane."""
    rows = np.ascontiguousarray(embeddings, np.float32)
    count = len(rows)
    sections = _canvas_sections(np.arange(first, first + count, dtype=np.int32), positions)
    return _batch(api, rows, sections, _only_last(count, want_logits), [sequence] * count)


def next_canvas_batch(api: Any, tokens: Sequence[NextToken], table: TokenEmbeddings) -> Batch:
    """The next tokens of several conversations on canvases, in this order; asks for the logits of all."""
    rows = table.rows([one.token for one in tokens])
    numbers, places = (np.array([getattr(one, name) for one in tokens], np.int32) for name in ("position", "place"))
    sections = _canvas_sections(numbers, np.stack([places] * 3))
    return _batch(api, rows, sections, np.ones(len(rows), np.int8), [one.sequence for one in tokens])


def _canvas_sections(numbers: NDArray[np.int32], positions: Positions) -> NDArray[np.int32]:
    """Lay out positions for a GGUF whose fourth section rotates what the first would.

    llama.cpp orders tokens by the first section of a position, and would hide from each other the
    tokens of an image, which stand still in time. So that section holds numbers of tokens, and the
    fourth one the time (see `uhd_edge.export.language_model.canvas_sections`).
    """
    time, height, width = positions
    return np.concatenate([numbers, height, width, time])


def _batch(
    api: Any, tokens: NDArray[Any], positions: NDArray[np.int32], logits: NDArray[np.int8], sequences: list[int]
) -> Batch:
    """Make a batch of token ids int32 [n] or embeddings float32 [n, d]."""
    count = len(tokens)
    name, kind = ("token", ctypes.c_int32) if tokens.ndim == 1 else ("embd", ctypes.c_float)
    struct = api.llama_batch(
        n_tokens=count,
        pos=_pointer(positions, ctypes.c_int32),
        logits=_pointer(logits, ctypes.c_int8),
        **{name: _pointer(tokens, kind)},
    )
    return Batch(struct, count, (tokens, positions, logits, *_say_sequences(struct, sequences)))


def _say_sequences(struct: Any, sequences: list[int]) -> tuple[Any, ...]:
    """Say in a batch to which conversation each token belongs; returns the arrays that it points into then."""
    if not any(sequences):
        return ()
    count = len(sequences)
    ones, numbers = (ctypes.c_int32 * count)(*[1] * count), (ctypes.c_int32 * count)(*sequences)
    first = ctypes.addressof(numbers)
    places = (ctypes.c_void_p * count)(*range(first, first + ctypes.sizeof(numbers), ctypes.sizeof(ctypes.c_int32)))
    struct.n_seq_id = ones
    struct.seq_id = ctypes.cast(places, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)))
    return ones, numbers, places


def _pointer(array: NDArray[Any], kind: Any) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(kind))


def _only_last(count: int, wanted: bool) -> NDArray[np.int8]:
    flags = np.zeros(count, np.int8)
    flags[-1] = wanted
    return flags
