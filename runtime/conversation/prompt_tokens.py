"""A whole prompt as tokens that can be compared with another's, image rows included."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.llm.segments import ImageSegment, TokenSegment
from uhd_edge.runtime.prompt.layout import ImageSlot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from uhd_edge.runtime.conversation.turns import SeenImage
    from uhd_edge.runtime.llm.chunks import Piece
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.llm.segments import Segment, TextSegment


@dataclass(frozen=True, eq=False)
class PromptTokens:
    """A prompt as it is read: `ids` int64 [n], a token id or, below zero, a row of an image that has no other.

    `pieces` are the same in order, token ids and embeddings. `starts` is where what is read
    in batches of its own begins; there is one such beginning when the language model reads
    a prompt in one piece.
    """

    ids: NDArray[np.int64]
    pieces: tuple[Piece, ...]
    starts: tuple[int, ...]

    def between(self, start: int, stop: int) -> list[Segment]:
        """Tokens `start` to `stop` as segments."""
        segments: list[Segment] = []
        begin = 0
        for piece in self.pieces:
            part = piece[max(start - begin, 0) : max(stop - begin, 0)]
            begin += len(piece)
            if len(part):
                segments.append(TokenSegment(part) if isinstance(part, list) else ImageSegment(part))
        return segments

    def start_before(self, position: int) -> int:
        """Where that begins which is read in batches of its own and has token `position` in it."""
        return max((start for start in self.starts if start <= position), default=0)

    @property
    def vision_end(self) -> int:
        """How many tokens there are up to the last row of an image, 0 without an image."""
        (rows,) = np.nonzero(self.ids < 0)
        return int(rows[-1]) + 1 if len(rows) else 0


def prompt_tokens(
    layout: Sequence[TextSegment | ImageSlot], images: Sequence[SeenImage], model: LanguageModel
) -> PromptTokens:
    """Put the tokens of text and the rows of images into the places of a laid-out prompt."""
    pieces: list[Piece] = []
    ids: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for part in layout:
        if isinstance(part, ImageSlot):
            image = images[part.image]
            pieces.append(image.encoded.embeddings[part.start : part.start + part.tokens])
            ids.append(image.row_ids[part.start : part.start + part.tokens])
        else:
            tokens = model.vocabulary.tokenize(part.text)
            pieces.append(tokens)
            ids.append(np.array(tokens, np.int64))
    whole = model.reads_in_one_piece or all(isinstance(piece, list) for piece in pieces)
    starts = (0,) if whole else tuple(accumulate((len(piece) for piece in pieces[:-1]), initial=0))
    return PromptTokens(np.concatenate(ids), tuple(pieces), starts)


def common_length(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """How many ids two prompts have in common from their beginning on."""
    shorter = min(len(one), len(other))
    (different,) = np.nonzero(one[:shorter] != other[:shorter])
    return int(different[0]) if len(different) else shorter
