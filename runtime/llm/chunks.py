"""A prompt as the language model reads it: chunks of token ids or embeddings, checked, in batches."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from uhd_edge.runtime.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from uhd_edge.runtime.llm.token_embeddings import TokenEmbeddings

# Token ids, or embeddings float32 [n, d_llm].
PromptChunk: TypeAlias = list[int] | NDArray[np.float32]

# llama.cpp's flash attention computes a batch of fewer tokens with another kernel, with other
# last bits (`ggml_fa_tile_config::Q`). In larger batches a token's result does not depend on
# the rest of the batch, so a prompt that is long enough is never read in smaller ones.
SMALLEST_BATCH = 64

# Stands among token ids where a row of an image was read.
IMAGE_ROW = -1


def check_embeddings(chunks: Iterable[PromptChunk], *, width: int, path: Path) -> None:
    """Raise `EngineError` for embeddings of another width, or with NaN, on which llama.cpp would crash."""
    for rows in chunks:
        if isinstance(rows, list):
            continue
        if rows.ndim != 2 or rows.shape[1] != width:
            raise EngineError(
                f"embeddings of shape {rows.shape} do not fit a language model of width {width} ({path}); "
                "export the bundle again"
            )
        if not np.isfinite(rows).all():
            raise EngineError("the image's embeddings hold NaN or infinity; use --precision fp32")


def list_ids(chunks: Sequence[PromptChunk]) -> list[int]:
    """List one token id per place, `IMAGE_ROW` for a row of embeddings."""
    return [token for chunk in chunks for token in (chunk if isinstance(chunk, list) else [IMAGE_ROW] * len(chunk))]


def join_chunks(chunks: list[PromptChunk], table: TokenEmbeddings | None) -> list[PromptChunk]:
    """Join text and images to one chunk by looking up the text's embeddings in `table`, see `TokenEmbeddings`."""
    if table is None or all(isinstance(chunk, list) for chunk in chunks):
        return chunks
    return [np.concatenate([look_up(chunk, table) for chunk in chunks])]


def look_up(chunk: PromptChunk, table: TokenEmbeddings) -> NDArray[np.float32]:
    """Return the embeddings float32 [n, d] of a chunk."""
    return table.rows(chunk) if isinstance(chunk, list) else chunk


def split_into_batches(chunks: Iterable[PromptChunk], most: int) -> Iterator[PromptChunk]:
    """Split chunks into what llama.cpp reads at once, at most `most` tokens."""
    for chunk in chunks:
        for start, stop in pairwise(batch_bounds(len(chunk), most)):
            yield chunk[start:stop]


def batch_bounds(count: int, most: int) -> list[int]:
    """Return where batches of `count` tokens begin and end: `most` in each, and the last one not too small."""
    bounds = [*range(0, count, most), count]
    if len(bounds) > 2 and most >= 2 * SMALLEST_BATCH:
        bounds[-2] = min(bounds[-2], count - SMALLEST_BATCH)
    return bounds
