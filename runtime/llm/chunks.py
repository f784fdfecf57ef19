"""Segments of a prompt become what llama.cpp reads: token ids or embeddings, checked, in batches."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from uhd_edge.runtime.errors import EngineError
from uhd_edge.runtime.llm.segments import TextSegment, TokenSegment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from uhd_edge.runtime.llm.segments import Segment
    from uhd_edge.runtime.llm.token_embeddings import TokenEmbeddings
    from uhd_edge.runtime.llm.vocabulary import Vocabulary

# Token ids, or embeddings float32 [n, d].
Piece: TypeAlias = list[int] | NDArray[np.float32]

# llama.cpp's flash attention computes a batch of fewer tokens by another kernel, with other
# last bits (`ggml_fa_tile_config::Q`). In larger ones a token's result does not depend on
# what else is in the batch, so no prompt that is long enough is read in smaller ones.
SMALLEST_BATCH = 64

# Stands among token ids where a row of an image was read.
IMAGE_ROW = -1


def piece_of(segment: Segment, vocabulary: Vocabulary, *, width: int, path: Path) -> Piece:
    """Token ids of text, or embeddings that are safe to read; raises `EngineError` for another width, or NaN."""
    if isinstance(segment, TextSegment):
        return vocabulary.tokenize(segment.text)
    if isinstance(segment, TokenSegment):
        return list(segment.ids)
    rows = segment.embeddings
    if rows.ndim != 2 or rows.shape[1] != width:
        raise EngineError(
            f"embeddings of shape {rows.shape} do not fit a language model of width {width} ({path}); "
            "export the bundle again"
        )
    if not np.isfinite(rows).all():
        raise EngineError("the image's embeddings hold NaN or infinity; use --precision fp32")
    return rows


def ids_of(pieces: Sequence[Piece]) -> list[int]:
    """One token id per place, `IMAGE_ROW` where there is none."""
    return [token for piece in pieces for token in (piece if isinstance(piece, list) else [IMAGE_ROW] * len(piece))]


def in_one_piece(pieces: list[Piece], table: TokenEmbeddings | None) -> list[Piece]:
    """Put token embeddings in place of token ids where images are among them, see `TokenEmbeddings`."""
    if table is None or all(isinstance(piece, list) for piece in pieces):
        return pieces
    return [np.concatenate([table.rows(piece) if isinstance(piece, list) else piece for piece in pieces])]


def in_batches(pieces: Iterable[Piece], most: int) -> Iterator[Piece]:
    """Cut pieces into what llama.cpp reads at once: token ids or embeddings, at most `most`."""
    for piece in pieces:
        for start, stop in pairwise(batch_bounds(len(piece), most)):
            yield piece[start:stop]


def batch_bounds(count: int, most: int) -> list[int]:
    """Where the batches of `count` tokens begin and end: `most` in each, and the last one not too small."""
    bounds = [*range(0, count, most), count]
    if len(bounds) > 2 and most >= 2 * SMALLEST_BATCH:
        bounds[-2] = min(bounds[-2], count - SMALLEST_BATCH)
    return bounds
