"""Saved states of the language model's memory, the most recently used ones within a limit in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.runtime.conversation.prompt_tokens import common_length
from uhd_edge.runtime.llm.chunks import SMALLEST_BATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.runtime.llm.state import SavedState


@dataclass(frozen=True, eq=False)
class SavedPrompt:
    """The state after a prompt's first tokens, whose ids int64 [n] are as in `PromptTokens`."""

    ids: NDArray[np.int64]
    state: SavedState

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.ids.nbytes + self.state.nbytes

    def serves(self, ids: NDArray[np.int64]) -> bool:
        """Whether a prompt with these ids could start from this state."""
        enough = min(len(self.ids), SMALLEST_BATCH) if self.state.whole else len(self.ids)
        return common_length(self.ids, ids) >= enough


class SavedPrompts:
    """Saved states within `limit` bytes; the least recently used is dropped first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._saved: list[SavedPrompt] = []  # the latest used last

    @property
    def nbytes(self) -> int:
        """Bytes of all states."""
        return sum(saved.nbytes for saved in self._saved)

    def add(self, new: SavedPrompt) -> None:
        """Keep a state, and drop those that it replaces; a state over the limit is not kept."""
        if new.nbytes > self.limit:
            return
        self._saved = [saved for saved in self._saved if not _replaces(new, saved)]
        self._saved.append(new)
        while self.nbytes > self.limit:
            self._saved.pop(0)

    def touch(self, saved: SavedPrompt) -> None:
        """Mark a state as the most recently used."""
        if saved in self._saved:
            self._saved.remove(saved)
            self._saved.append(saved)

    def keep_for(self, needed: Sequence[NDArray[np.int64]]) -> None:
        """Drop states that none of these prompts could start from."""
        self._saved = [saved for saved in self._saved if any(saved.serves(ids) for ids in needed)]

    def whole(self) -> list[SavedPrompt]:
        """List the states that need nothing in memory, the most recently used first."""
        return [saved for saved in reversed(self._saved) if saved.state.whole]

    def latest_within(self, ids: NDArray[np.int64]) -> SavedPrompt | None:
        """Return the state after the longest prefix of `ids`; None without one."""
        beginnings = [saved for saved in self._saved if common_length(saved.ids, ids) == len(saved.ids)]
        # Of two with the same length, the one that is smaller to restore.
        return max(beginnings, key=lambda saved: (len(saved.ids), not saved.state.whole), default=None)


def _replaces(new: SavedPrompt, old: SavedPrompt) -> bool:
    """Whether `new` makes `old` redundant: a whole state can be cut down to its prefixes."""
    same = common_length(new.ids, old.ids) == len(old.ids)
    return same and new.state.whole == old.state.whole and (new.state.whole or len(new.ids) == len(old.ids))
