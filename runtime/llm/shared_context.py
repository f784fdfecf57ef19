"""One context of llama.cpp in which several conversations stand, whose next tokens are read together.

    the next token of each conversation  ->  one batch  ->  logits for each

For one token the processor reads all of the model's weights, so that a token for each of several
conversations costs little more.
"""

from __future__ import annotations

import ctypes
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from uhd_edge.engines.engine import ClosedByWith
from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.batch import canvas_batch, next_canvas_batch, next_tokens_batch, prompt_batch
from uhd_edge.runtime.llm.chunks import look_up
from uhd_edge.runtime.llm.sampling import view_logits

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from uhd_edge.runtime.llm.batch import Batch, NextToken, Positions
    from uhd_edge.runtime.llm.chunks import PromptChunk
    from uhd_edge.runtime.llm.llama_library import LlamaLibrary
    from uhd_edge.runtime.llm.llama_loading import OpenLlama
    from uhd_edge.runtime.llm.token_embeddings import TokenEmbeddings

NEWEST = -1


class Reader(Protocol):
    """A conversation in a context, which others may read for; `position` tokens of it are in memory."""

    position: int

    def note_read(self, token: int, logits: NDArray[np.float32] | None) -> None:
        """Note that the announced token was read; `logits` float32 [vocabulary], None for llama.cpp's newest."""

    def lose(self, error: ModelError) -> None:
        """Note that the memory was cleared; the next answer that goes on without clearing it raises `error`."""


class SharedContext(ClosedByWith):
    """Context `number` of an open model, for one or more conversations; close it, or use it with `with`.

    `handle` is None once it is closed. Up to `few_tokens` are read by the threads that generate. `readers` are the
    conversations, each with its number. With `canvas_table`, tokens have positions on a canvas and are read as its
    rows. Not thread-safe.
    """

    def __init__(self, library: LlamaLibrary, path: Path, opened: OpenLlama, number: int) -> None:
        self._library, self._api, self._path = library, library.api, path
        self.handle, self.number = opened.contexts[number], number
        self._mrope, self._threads = opened.facts.has_mrope, opened.threads
        self.few_tokens = opened.few_tokens
        self._memory = self._api.llama_get_memory(self.handle)
        self._vocabulary_size = int(self._api.llama_vocab_n_tokens(self._api.llama_model_get_vocab(opened.model)))
        self._next: dict[int, NextToken] = {}
        self.readers: dict[int, Reader] = {}
        self.canvas_table: TokenEmbeddings | None = None

    @property
    def is_shared(self) -> bool:
        """Whether there are several conversations."""
        return len(self.readers) > 1

    def forget(self, sequence: int, *, after: int = 0) -> bool:
        """Forget all but the first `after` tokens of a conversation; False when llama.cpp cannot do it.

        With one conversation in the context, recurrent layers are zeroed too, in case they hold NaN.
        """
        self._next.pop(sequence, None)
        if after == 0 and not self.is_shared:
            self._api.llama_memory_clear(self._memory, True)
            return True
        return bool(self._api.llama_memory_seq_rm(self._memory, sequence, after, -1))

    def lose_all(self, error: ModelError) -> None:
        """Clear the whole memory, and let all conversations know why."""
        self._next.clear()
        self._api.llama_memory_clear(self._memory, True)
        for reader in self.readers.values():
            reader.lose(error)

    def cleanse(self, sequence: int) -> None:
        """Forget a conversation that has NaN in memory, while the others go on.

        llama.cpp multiplies what it reads anew by zeros, which NaN survives. So the whole memory is zeroed, and
        the other conversations are copied out of it and back. If llama.cpp cannot do that, all are lost.
        """
        self._next.pop(sequence, None)
        others = [number for number, reader in self.readers.items() if number != sequence and reader.position]
        try:
            states = {number: take_state(self._library, self.handle, whole=True, sequence=number) for number in others}
            self._api.llama_memory_clear(self._memory, True)
            for number, state in states.items():
                put_state(self._library, self.handle, state, whole=True, sequence=number)
        except ModelError as error:
            self.lose_all(error)

    def read(
        self, chunk: PromptChunk, first: int, places: Positions, *, sequence: int, want_logits: bool
    ) -> NDArray[np.float32] | None:
        """Read a batch of a conversation, its tokens from number `first` on, which stand at `places` on a canvas.

        Returns a copy of the logits where others may read on; otherwise they are llama.cpp's newest. Raises
        `ModelError`; what the conversation has in memory is undefined then.
        """
        self._next.pop(sequence, None)
        if self.canvas_table is None:
            batch = prompt_batch(self._api, chunk, first, mrope=self._mrope, want_logits=want_logits, sequence=sequence)
        else:
            rows = look_up(chunk, self.canvas_table)
            batch = canvas_batch(self._api, rows, first, places, want_logits=want_logits, sequence=sequence)
        if len(chunk) <= self.few_tokens:
            self._decode_as_generated(batch)
        else:
            self._decode(batch)
        return self._copy_logits(NEWEST) if want_logits and self.is_shared else None

    def announce(self, token: NextToken) -> None:
        """Say what a conversation reads next, so that it is read when another one's next token is."""
        self._next[token.sequence] = token

    def read_announced(self) -> None:
        """Read every announced token in one batch, and tell its reader. Raises `ModelError`; all is lost then."""
        tokens, self._next = list(self._next.values()), {}
        try:
            self._decode_next(tokens)
        except ModelError as error:
            self.lose_all(error)
            raise
        for place, token in enumerate(tokens):
            logits = self._copy_logits(place) if self.is_shared else None
            self.readers[token.sequence].note_read(token.token, logits)

    def close(self) -> None:
        """Free the context. Safe to call twice."""
        context, self.handle = self.handle, None
        if context is not None:
            self._library.call(self._api.llama_free, context)

    def _decode_next(self, tokens: list[NextToken]) -> None:
        if self.canvas_table is None:
            batch = next_tokens_batch(self._api, tokens)
        else:
            batch = next_canvas_batch(self._api, tokens, self.canvas_table)
        self._decode_as_generated(batch)

    def _decode_as_generated(self, batch: Batch) -> None:
        """Decode with the threads that generate; llama.cpp takes those that read where there is more than one token."""
        to_generate, to_read = self._threads
        if to_generate == to_read or batch.struct.n_tokens == 1:
            self._decode(batch)
            return
        self._api.llama_set_n_threads(self.handle, to_generate, to_generate)
        try:
            self._decode(batch)
        finally:
            self._api.llama_set_n_threads(self.handle, to_generate, to_read)

    def _decode(self, batch: Batch) -> None:
        self._library.forget_log()
        status = self._library.call(self._api.llama_decode, self.handle, batch.struct)
        if status != 0:
            reason = self._library.reason()
            raise ModelError(f"{self._path}: llama.cpp failed with status {status} ({reason}); lower --context")

    def _copy_logits(self, place: int) -> NDArray[np.float32]:
        return view_logits(self._api.llama_get_logits_ith(self.handle, place), self._vocabulary_size).copy()


class OpenContexts(ClosedByWith):
    """The contexts of an open model, `each` of them; close them, or use them with `with`."""

    def __init__(self, library: LlamaLibrary, path: Path, opened: OpenLlama) -> None:
        self._library, self._model = library, opened.model
        self.each = tuple(SharedContext(library, path, opened, number) for number in range(len(opened.contexts)))

    def close(self) -> None:
        """Free the contexts, and then the model. Safe to call twice."""
        with ExitStack() as closing:
            model, self._model = self._model, None
            if model is not None:
                closing.callback(self._library.call, self._library.api.llama_model_free, model)
            for context in self.each:
                closing.callback(context.close)


def take_state(library: LlamaLibrary, context: Any, *, whole: bool, sequence: int = 0) -> NDArray[np.uint8]:
    """Copy what a context has of conversation number `sequence`; raises `ModelError` when llama.cpp cannot do it."""
    api = library.api
    flags = _flags(api, whole)
    data = np.empty(library.call(api.llama_state_seq_get_size_ext, context, sequence, flags), np.uint8)
    library.forget_log()
    written = library.call(
        api.llama_state_seq_get_data_ext, context, _pointer(data), ctypes.c_size_t(len(data)), sequence, flags
    )
    if not len(data) or written != len(data):
        raise ModelError(f"llama.cpp cannot save its memory: {library.reason()}")
    return data


def put_state(library: LlamaLibrary, context: Any, data: NDArray[np.uint8], *, whole: bool, sequence: int = 0) -> None:
    """Restore what `take_state` copied; raises `ModelError` when llama.cpp refuses, the memory is undefined then."""
    api = library.api
    library.forget_log()
    read = library.call(
        api.llama_state_seq_set_data_ext,
        context,
        _pointer(data),
        ctypes.c_size_t(len(data)),
        sequence,
        _flags(api, whole),
    )
    if read != len(data):
        raise ModelError(f"llama.cpp cannot go back to a saved memory: {library.reason()}")


def _flags(api: Any, whole: bool) -> int:
    return int(api.LLAMA_STATE_SEQ_FLAGS_NONE if whole else api.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)


def _pointer(data: NDArray[np.uint8]) -> Any:
    return data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
