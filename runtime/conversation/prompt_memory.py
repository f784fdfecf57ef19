"""The language model's one memory, shared by conversations: what is in it is not prefilled again.

A prompt is compared, token by token, with what is in memory and with the saved states of other
conversations. Only what follows the longest common prefix is prefilled. This works with any
chat template, also with one that writes earlier turns differently later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from uhd_edge.runtime.conversation.prompt_tokens import common_length
from uhd_edge.runtime.conversation.saved_prompts import SavedPrompt, SavedPrompts
from uhd_edge.runtime.llm.chunks import SMALLEST_BATCH

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from uhd_edge.runtime.conversation.prompt_tokens import PromptTokens
    from uhd_edge.runtime.llm.language_model import LanguageModel

# Fewer tokens than this are prefilled again instead of saved.
WORTH_SAVING = 128
# Prompts that begin with fewer of the same tokens have nothing to do with each other but their template.
WORTH_REUSING = 64

NOTHING = np.empty(0, np.int64)


class _Nobody:
    """The owner of a prompt until it has been read."""


@dataclass(frozen=True)
class _Way:
    """How to get to the first `length` tokens of a prompt: from `whole`, or else from memory, then `recurrent`."""

    length: int
    whole: SavedPrompt | None
    recurrent: SavedPrompt | None


class PromptMemory:
    """Prefills prompts, each from where it differs from what the model has read before.

    The logits equal those of prefilling the whole prompt. llama.cpp's results depend on
    whether a batch has fewer than `SMALLEST_BATCH` tokens, so at least that many are prefilled
    again. A generated answer is prefilled with the next question, as part of its prompt.

    The state of a conversation is saved when another one takes the memory. For a model with
    recurrent layers, states to go back to are saved during prefill too. Saved states take at
    most `limit` bytes; the least recently used go first. What was not saved is prefilled again;
    images are not re-encoded.

    Not thread-safe.
    """

    def __init__(self, model: LanguageModel, *, limit: int) -> None:
        self._model = model
        self._saved = SavedPrompts(limit)
        self._needed: WeakKeyDictionary[object, NDArray[np.int64]] = WeakKeyDictionary()
        self._note(NOTHING)

    @property
    def nbytes(self) -> int:
        """Bytes of the saved states."""
        return self._saved.nbytes

    def read_alone(self, prompt: PromptTokens) -> Generator[str, None, None]:
        """Prefill a prompt that no other prompt continues, in steps; see `LanguageModel.prefill_steps`."""
        self._save_what_is_needed(0)
        self._model.clear()
        self._note(NOTHING)
        yield from self._model.prefill_steps(prompt.between(0, len(prompt.ids)), prompt.positions)

    def read_like_before(self, prompt: PromptTokens, *, stable_prefix: int) -> Generator[str, None, int]:
        """Prefill a prompt that may go on from the one that is in memory, and return how many tokens of it were.

        Nobody says which conversation it is of. The next one may begin with the first `stable_prefix` tokens.
        """
        if len(prompt.ids) < WORTH_REUSING:
            yield from self.read_alone(prompt)
            return 0
        if common_length(prompt.ids, self._present) < WORTH_REUSING:
            self._save_what_is_needed(0)
            self._model.clear()
            self._note(NOTHING)
        self._saved.keep_for([*self._needed.values(), self._present])
        return (yield from self.read(prompt, owner=_Nobody(), stable_prefix=stable_prefix))

    def read(self, prompt: PromptTokens, *, owner: object, stable_prefix: int) -> Generator[str, None, int]:
        """Prefill a prompt of the conversation `owner`, in steps, and return how many of its tokens were in memory.

        The conversation's next prompt is expected to begin with the first `stable_prefix` tokens.
        """
        self._needed[owner] = prompt.ids
        start = begin = self._go_back(prompt)
        self._note(prompt.ids[:start])
        for stop in (*self._places_to_save(prompt, start, stable_prefix), len(prompt.ids)):
            yield from self._model.prefill_steps(prompt.between(begin, stop), prompt.positions_between(begin, stop))
            self._note(prompt.ids[:stop])
            if stop < len(prompt.ids):
                self._saved.add(SavedPrompt(prompt.ids[:stop], self._model.save(whole=False)))
            begin = stop
        return start

    def reusable_tokens(self, owner: object) -> int:
        """Return how many tokens of a conversation's next prompt are in memory at least, unless a turn is dropped."""
        ids = self._needed.get(owner)
        if ids is None or not self._model.reads_in_one_piece:
            return 0
        length = max(common_length(ids, known) for known in (self._present, *(one.ids for one in self._saved.whole())))
        if not self._model.is_recurrent:
            return max(0, length - SMALLEST_BATCH)
        recurrent = self._saved.latest_within(ids[:length])
        return 0 if recurrent is None else len(recurrent.ids)

    def share(self, owner: object, fork: object) -> None:
        """Keep for `fork`, which goes on from `owner`, what is kept for `owner`."""
        if owner in self._needed:
            self._needed[fork] = self._needed[owner]

    def release(self, owner: object) -> None:
        """Drop the states of a conversation that has ended, unless another one can use them."""
        self._needed.pop(owner, None)
        self._saved.keep_for(list(self._needed.values()))

    def forget(self) -> None:
        """Discard everything that was read so far."""
        self._saved.keep_for([])
        self._note(NOTHING)

    def _note(self, ids: NDArray[np.int64]) -> None:
        """Note what is in the model's memory now; the note is void once somebody else clears the memory."""
        self._read = ids
        self._clearings = self._model.clearings

    @property
    def _present(self) -> NDArray[np.int64]:
        return self._read if self._clearings == self._model.clearings else NOTHING

    def _go_back(self, prompt: PromptTokens) -> int:
        """Restore the longest known prefix of the prompt in the model's memory, and return its length."""
        way = self._way(prompt, self._present, None)
        for saved in self._saved.whole():
            if (other := self._way(prompt, saved.ids, saved)).length > way.length:
                way = other
        self._save_what_is_needed(way.length if way.whole is None else 0)
        if way.length == 0:
            self._model.clear()
            return 0
        if way.whole is not None:
            self._saved.touch(way.whole)
            self._model.restore(way.whole.state)
        if way.recurrent is None:
            self._model.rewind(way.length)
        elif way.recurrent is not way.whole:
            self._saved.touch(way.recurrent)
            self._model.restore(way.recurrent.state)
        return way.length

    def _way(self, prompt: PromptTokens, known: NDArray[np.int64], whole: SavedPrompt | None) -> _Way:
        """Find how much of `known`, in memory or saved as `whole`, can be kept without changing the logits.

        Batches of another size have other last bits. So a short prompt is prefilled as one
        batch, and of a long one at least `SMALLEST_BATCH` tokens.
        """
        common = min(common_length(prompt.ids, known), len(prompt.ids) - 1)
        if len(prompt.starts) > 1:
            length = prompt.start_before(common)
        elif len(known) < SMALLEST_BATCH:
            length = 0
        else:
            length = max(min(common, len(prompt.ids) - SMALLEST_BATCH), 0)
        if not self._model.is_recurrent:
            return _Way(length, whole, None)
        recurrent = self._saved.latest_within(prompt.ids[:length])
        return _Way(0, whole, None) if recurrent is None else _Way(len(recurrent.ids), whole, recurrent)

    def _save_what_is_needed(self, kept: int) -> None:
        """Save what is in memory if a conversation needs much more of it than its first `kept` tokens."""
        present = self._present
        length = max((common_length(present, ids) for ids in self._needed.values()), default=0)
        recurrent = self._saved.latest_within(present[:length]) if self._model.is_recurrent else None
        if self._model.is_recurrent:
            length = 0 if recurrent is None else len(recurrent.ids)
        known = max((common_length(present[:length], saved.ids) for saved in self._saved.whole()), default=0)
        if self._saved.limit == 0 or length - max(kept, known) < WORTH_SAVING:
            return
        if recurrent is None:
            self._model.rewind(length)
        else:
            self._model.restore(recurrent.state)
        self._note(present[:length])
        self._saved.add(SavedPrompt(present[:length], self._model.save(whole=True)))

    def _places_to_save(self, prompt: PromptTokens, start: int, stable_prefix: int) -> Iterator[int]:
        """Yield where the state of recurrent layers is saved during prefill, for later prompts to go back to.

        These places are after the images, for other questions about them, and where the next
        turn begins; each a little earlier, so that what follows is not a small batch.
        """
        if not self._model.is_recurrent or self._saved.limit == 0:
            return
        for end in sorted({prompt.vision_end, stable_prefix}):
            place = end - SMALLEST_BATCH
            if len(prompt.starts) > 1:
                place = prompt.start_before(place)
            if place - start >= SMALLEST_BATCH and len(prompt.ids) - place >= SMALLEST_BATCH:
                yield place
                start = place
