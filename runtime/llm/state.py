"""llama.cpp's memory, copied as bytes and restored, to go back to an earlier place in a conversation.

A plain transformer can drop its last tokens without this. Recurrent layers, three of four
in Qwen3.5, keep only their newest state. So that state is saved during prefill, 19 MB,
without the attention cache, which takes 12 kB for every token.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.sampling import are_sound
from uhd_edge.runtime.llm.shared_context import put_state, take_state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from typing_extensions import Self

    from uhd_edge.runtime.llm.batch import Positions
    from uhd_edge.runtime.llm.llama_library import LlamaLibrary
    from uhd_edge.runtime.llm.shared_context import SharedContext


@dataclass(frozen=True, eq=False)
class SavedState:
    """The memory after its first `position` tokens: all of it if `whole`, else only that of recurrent layers.

    `history` is int32 [2, position] as in `ReadTokens.copy`. It fits the language model that it was
    taken from and no other.
    """

    data: NDArray[np.uint8]
    history: NDArray[np.int32]
    whole: bool

    @property
    def position(self) -> int:
        """Number of tokens that were read before the state was saved."""
        return int(self.history.shape[1])

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.data.nbytes + self.history.nbytes


class ReadTokens:
    """Ids of the tokens read so far, and for each the first position that no token up to it has taken.

    Where positions are numbers of tokens that is the next number. Behind an image on a canvas it
    is what lies beyond the canvas.
    """

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._following: list[int] = []

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> list[int]:
        """The ids, below zero for a row of an image."""
        return self._ids

    @property
    def following(self) -> int:
        """The first position that none of them has taken."""
        return self._following[-1] if self._following else 0

    def positions(self, count: int) -> Positions:
        """Return int32 [3, count], the positions of so many tokens of text that come next."""
        return np.tile(np.arange(self.following, self.following + count, dtype=np.int32), (3, 1))

    def add(self, ids: Sequence[int], positions: Positions) -> None:
        """Note tokens that are read at positions int32 [3, n]."""
        self._ids += ids
        self._following += np.maximum(np.maximum.accumulate(positions.max(axis=0)) + 1, self.following).tolist()

    def add_text(self, token: int) -> None:
        """Note a token of text, which stands where the last ones end."""
        following = self.following + 1
        self._ids.append(token)
        self._following.append(following)

    def cut(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        del self._ids[length:], self._following[length:]

    def copy(self, length: int) -> NDArray[np.int32]:
        """Return the first `length` tokens as int32 [2, length]: ids, and the positions that follow them."""
        return np.array([self._ids[:length], self._following[:length]], np.int32).reshape(2, -1)

    def restore(self, copied: NDArray[np.int32]) -> None:
        """Replace everything by what `copy` returned."""
        self._ids, self._following = copied[0].tolist(), copied[1].tolist()


class ConversationMemory:
    """What llama.cpp has in memory of one conversation: number 0 of the first context, or one `beside` it.

    `position` is the number of tokens in memory, `clearings` how often it was cleared.
    """

    def __init__(self, library: LlamaLibrary, path: Path, shared: SharedContext) -> None:
        self.path = path
        self._library, self._api, self._shared = library, library.api, shared
        self._begin(0)

    def beside(self, shared: SharedContext, number: int) -> Self:
        """Make another one like this, which is conversation `number` of a context of the same model, and empty."""
        other = copy(self)
        other._shared = shared
        other._begin(number)
        return other

    def _begin(self, number: int) -> None:
        """Begin conversation `number` of the context."""
        self._number = number
        self._shared.readers[number] = self
        self._read = ReadTokens()
        self._kept_logits: NDArray[np.float32] | None = None
        self._lost: ModelError | None = None
        self.position = self.clearings = 0

    @property
    def lane(self) -> int:
        """The number of its context: conversations in different ones may be used by different threads."""
        return self._shared.number

    def clear(self) -> None:
        """Clear the memory. Recurrent layers are zeroed too, in case they hold NaN.

        `clearings` counts the calls, so that others can tell whether memory was cleared.
        """
        self._lost = None
        self._require_open()
        logits, self._kept_logits = self._kept_logits, None
        if logits is None or are_sound(logits):
            self._shared.forget(self._number)
        else:
            self._shared.cleanse(self._number)
        self._read.cut(0)
        self.position = 0
        self.clearings += 1

    def rewind(self, position: int) -> None:
        """Forget all but the first `position` tokens; a model with recurrent layers needs `restore`.

        Raises `ModelError` when llama.cpp cannot do it; memory is empty then.
        """
        self._require_open()
        if position > self.position or not self._shared.forget(self._number, after=position):
            self.clear()
            raise ModelError(f"{self.path}: the conversation cannot go back to its token {position}")
        self._read.cut(position)
        self._kept_logits = None
        self.position = position

    def save(self, *, whole: bool) -> SavedState:
        """Copy the memory, or only that of recurrent layers unless `whole`. Raises `ModelError`."""
        self._require_open()
        data = take_state(self._library, self._shared.handle, whole=whole, sequence=self._number)
        return SavedState(data, self._read.copy(self.position), whole)

    def restore(self, state: SavedState) -> None:
        """Restore a state that `save` copied; unless it is `whole`, its tokens must still be in memory.

        Raises `ModelError` when llama.cpp cannot do it; memory is empty then.
        """
        if state.whole:
            self.clear()
        self._require_open()
        try:
            put_state(self._library, self._shared.handle, state.data, whole=state.whole, sequence=self._number)
        except ModelError:
            self.clear()
            raise
        self._read.restore(state.history)
        self.position = max(self.position, state.position)
        self.rewind(state.position)

    def note_read(self, token: int, logits: NDArray[np.float32] | None) -> None:
        """Note that the announced token was read together with others', see `Reader`."""
        self._read.add_text(token)
        self._kept_logits = logits
        self.position += 1

    def lose(self, error: ModelError) -> None:
        """Note that the memory was cleared because of `error`, see `Reader`."""
        self.clear()
        self._lost = error

    def _require_open(self) -> None:
        if self._shared.handle is None:
            raise ModelError(f"{self.path}: the language model has been closed")
        if self._lost is not None:
            raise self._lost.with_traceback(None)
