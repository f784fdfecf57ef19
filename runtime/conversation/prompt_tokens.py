"""A whole prompt as numbers that can be compared with another prompt's, image rows included."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.prompt.layout import ImageSlot, fill_slots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from uhd_edge.runtime.conversation.turns import SeenImage
    from uhd_edge.runtime.llm.batch import Positions
    from uhd_edge.runtime.llm.chunks import PromptChunk
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.prompt.layout import PromptLayout


OPENS_VIEW = 2**40  # more than any vocabulary has tokens


@dataclass(frozen=True, eq=False)
class PromptTokens:
    """A prompt as it is read: `ids` int64 [n], a token id or, below zero, the id of an image's row.

    A token id that opens a view is `OPENS_VIEW` larger: on a canvas such a token has another place.

    `chunks` are the same in order, token ids and embeddings. `starts` tells where those
    chunks begin that are read in batches of their own; it is (0,) when the language model
    reads text and images in the same batches. `positions` are those of `PromptLayout`.
    """

    ids: NDArray[np.int64]
    chunks: tuple[PromptChunk, ...]
    starts: tuple[int, ...]
    positions: Positions | None = None

    def between(self, start: int, stop: int) -> list[PromptChunk]:
        """Return the chunks of tokens `start` to `stop`."""
        chunks: list[PromptChunk] = []
        begin = 0
        for chunk in self.chunks:
            part = chunk[max(start - begin, 0) : max(stop - begin, 0)]
            begin += len(chunk)
            if len(part):
                chunks.append(part)
        return chunks

    def positions_between(self, start: int, stop: int) -> Positions | None:
        """Return the positions of tokens `start` to `stop`, None where they have none of their own."""
        return None if self.positions is None else self.positions[:, start:stop]

    def start_before(self, position: int) -> int:
        """Where the chunk begins that has token `position` in it and is read in batches of its own."""
        return max((start for start in self.starts if start <= position), default=0)

    @property
    def vision_end(self) -> int:
        """Number of tokens up to the last row of an image; 0 without an image."""
        (rows,) = np.nonzero(self.ids < 0)
        return int(rows[-1]) + 1 if len(rows) else 0


def fill_prompt(layout: PromptLayout, images: Sequence[SeenImage], model: LanguageModel) -> PromptTokens:
    """Put the embeddings of images into the slots of a prompt."""
    chunks = fill_slots(layout, [image.encoded.embeddings for image in images])
    together = model.reads_in_one_piece or all(isinstance(chunk, list) for chunk in chunks)
    starts = (0,) if together else tuple(accumulate((len(chunk) for chunk in chunks[:-1]), initial=0))
    return PromptTokens(number_tokens(layout, images), tuple(chunks), starts, layout.positions)


def number_tokens(layout: PromptLayout, images: Sequence[SeenImage]) -> NDArray[np.int64]:
    """Return ids int64 [n] by which prompts are compared: token ids, and `SeenImage.row_ids` in the slots."""
    ids = [np.empty(0, np.int64)]
    for part in layout.parts:
        if isinstance(part, ImageSlot):
            ids.append(images[part.image].row_ids[part.start : part.start + part.tokens])
        else:
            ids.append(np.array(part, np.int64))
    for part, before in zip(layout.parts[1:], ids[1:], strict=False):
        if isinstance(part, ImageSlot) and len(before):
            before[-1] += OPENS_VIEW
    return np.concatenate(ids)


def common_length(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """Return the length of the common prefix of two prompts."""
    shorter = min(len(one), len(other))
    (different,) = np.nonzero(one[:shorter] != other[:shorter])
    return int(different[0]) if len(different) else shorter
