"""The parts of a prompt that a language model reads: text, token ids, or embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TextSegment:
    """Text that goes through the tokenizer, special tokens included."""

    text: str


@dataclass(frozen=True)
class ImageSegment:
    """The embeddings float32 [n, d_llm] of one view."""

    embeddings: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TokenSegment:
    """Text that has been through the tokenizer: token ids int [n]."""

    ids: Sequence[int]


Segment = TextSegment | TokenSegment | ImageSegment
