"""The language model: token ids and embeddings in, tokens out, by llama.cpp.

llama.cpp aborts the process on several mistakes, so everything is checked before it is
called: widths, NaN, the length of a batch, the room in the context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.engines.engine import ClosedByWith
from uhd_edge.runtime.errors import ContextError, ModelError
from uhd_edge.runtime.llm.batch import NextToken
from uhd_edge.runtime.llm.chunks import IMAGE_ROW, check_embeddings, join_chunks, list_ids, split_into_batches
from uhd_edge.runtime.llm.grammar_sampling import Grammar
from uhd_edge.runtime.llm.llama_library import llama_library
from uhd_edge.runtime.llm.llama_loading import LlamaOptions, check_gpu_layers, open_llama
from uhd_edge.runtime.llm.sampling import Sampler, Sampling, finite_copy, newest_logits, require_sound
from uhd_edge.runtime.llm.shared_context import OpenContexts
from uhd_edge.runtime.llm.state import ConversationMemory
from uhd_edge.runtime.llm.token_embeddings import open_token_embeddings
from uhd_edge.runtime.llm.vocabulary import Vocabulary
from uhd_edge.runtime.validation import HIGHEST_COUNT, MOST_THREADS, require_whole

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from uhd_edge.runtime.llm.batch import Positions
    from uhd_edge.runtime.llm.chunks import PromptChunk
    from uhd_edge.runtime.llm.llama_loading import GpuLayers

# Tokens per call of llama.cpp: larger ones cost memory and gain nothing on a small device.
BATCH = 512


class LanguageModel(ConversationMemory, ClosedByWith):
    """A GGUF model held open with one conversation in its memory; close it, or use it with `with`.

    `context` is the most tokens a conversation may have, cut down to what the model was
    trained for. `gpu_layers` counts the layers on a GPU, -1 means all, and "auto" all where
    llama.cpp found a GPU with room for them; the attribute is what it came to, `place` says it in
    words, and `notes` when a GPU was left out. `threads` defaults to the usable cores, and to one for generating
    and for short prompts with a tiny model. llama.cpp's defaults, an F16 attention cache and flash attention, save
    time and memory and move logits by up to a hundredth of their standard deviation; `exact` uses
    neither, for comparisons with a reference. llama.cpp aborts on a vocabulary with a repeated token:
    `vocabulary_is_sound` skips the check for one.

    Prefilled and generated tokens (`position` of them) stay in memory until `clear`. See `rewind`,
    `save` and `restore` for going on from an earlier place. `is_recurrent` means that some layers keep
    only their newest state, `reads_in_one_piece` that text and images are in the same batches, `has_canvas`
    that tokens have positions in the plane. `conversations` are so many like this, each with a memory of its own.
    They share the weights, and those in one `lane` also a context of llama.cpp, where their next tokens are read
    together. A tiny model has several `lanes` on the CPU. Conversations in one lane are not thread-safe.

    Raises `ModelError` with llama.cpp's own reason when the file cannot be loaded, and
    `OptionError` for an invalid setting.
    """

    def __init__(
        self,
        path: Path,
        *,
        context: int = 4096,
        threads: int | None = None,
        gpu_layers: GpuLayers = "auto",
        exact: bool = False,
        vocabulary_is_sound: bool = False,
        conversations: int = 1,
    ) -> None:
        context = require_whole("context", context, 2, HIGHEST_COUNT)
        gpu_layers = check_gpu_layers(gpu_layers)
        threads = None if threads is None else require_whole("threads", threads, 1, MOST_THREADS)
        library = llama_library()
        options = LlamaOptions(context, BATCH, threads, exact, vocabulary_is_sound, conversations)
        opened = open_llama(library, path, options, gpu_layers)
        self._contexts = OpenContexts(library, path, opened)
        first, *_ = each = self._contexts.each
        super().__init__(library, path, first)
        facts = opened.facts
        self.context, self.gpu_layers, self.notes = opened.context_size, opened.gpu_layers, opened.notes
        self.place = opened.place
        self.trained_context = facts.trained_context or context
        try:
            self.vocabulary = Vocabulary(self._api, opened.model)
            self._table = open_token_embeddings(path, facts, vocabulary_size=self.vocabulary.size)
        except BaseException:
            self.close()
            raise
        self.lanes = len(each)
        self.width, self.is_recurrent, self.has_canvas = facts.width, facts.is_recurrent, facts.has_canvas
        for shared in each:
            shared.canvas_table = self._table if facts.has_canvas else None
        self.reads_in_one_piece = self._table is not None
        self._batch = min(BATCH, self.context, int(self._api.llama_n_batch(first.handle)))
        places = [divmod(number, len(each)) for number in range(1, conversations)]
        self.conversations = (self, *(self.beside(each[lane], number) for number, lane in places))

    def count(self, text: str) -> int:
        """Count the tokens of `text`."""
        return len(self.vocabulary.tokenize(text))

    def prefill(self, chunks: Sequence[PromptChunk], positions: Positions | None = None) -> None:
        """Read chunks after what is in memory; the logits after the last token are kept for `generate`.

        `positions` int32 [3, n], where the model `has_canvas`, says where their tokens stand; None is as text.

        Raises `ContextError` when they do not fit and `EngineError` for embeddings of another
        width or with NaN; nothing was read then. Raises `ModelError` when llama.cpp fails;
        memory is empty then.
        """
        for _ in self.prefill_steps(chunks, positions):
            pass

    def prefill_steps(
        self, chunks: Sequence[PromptChunk], positions: Positions | None = None
    ) -> Generator[str, None, None]:
        """Read chunks as `prefill` does, and yield an empty text between two batches, where it may be closed."""
        self._require_open()
        check_embeddings(chunks, width=self.width, path=self.path)
        chunks = [chunk for chunk in chunks if len(chunk)]
        total = sum(map(len, chunks))
        if self.position + total > self.context:
            raise ContextError(
                f"the prompt has {self.position + total} tokens, the context {self.context}; raise --context"
            )
        ids, done = list_ids(chunks), 0
        places = self._read.positions(total) if positions is None else positions
        for batch in split_into_batches(join_chunks(chunks, self._table), self._batch):
            if done:
                yield ""
                self._require_open()
            begin, done = done, done + len(batch)
            self._decode(batch, ids[begin:done], places[:, begin:done], want_logits=done == total)

    def keep_logits(self, logits: NDArray[np.float32]) -> None:
        """Choose the next token by logits that were here after the same tokens before."""
        self._kept_logits = logits

    def generate(
        self, sampling: Sampling, *, max_tokens: int, grammar: str | None = None, answer_start: int | None = None
    ) -> Generator[int, None, None]:
        """Yield tokens, each chosen as `sampling` says, up to `max_tokens` or the end of the context.

        With a `grammar`, in llama.cpp's notation, only tokens that it allows are chosen; raises
        `SchemaError` when llama.cpp rejects the grammar. `answer_start` is where the answer began.

        A token enters the memory when the next one is asked for, so the caller may stop at any
        point. Raises `ModelError` when the model returns NaN.
        """
        self._require_open()
        room = self.context - self.position
        with Sampler(
            self._library,
            sampling,
            vocabulary_size=self.vocabulary.size,
            context=self.context,
            history=[token for token in self._read.ids if token != IMAGE_ROW],
            answer=self._read.ids[self.position if answer_start is None else answer_start :],
            grammar=None if grammar is None else Grammar(self._library, self.vocabulary, grammar),
        ) as sampler:
            for _ in range(min(max_tokens, room)):
                handle = self._shared.handle if self._kept_logits is None else None
                token, position = sampler.sample(handle, self._newest_logits()), self.position
                yield token
                self._require_open()
                if self.position == position:  # otherwise it was read together with another conversation's
                    self._read_next(token)

    def announce(self, token: int) -> None:
        """Say that `generate` will read this token next, so that it may be read together with others'."""
        self._shared.announce(NextToken(self._number, self.position, token, self._read.following))

    def require_grammar(self, grammar: str) -> None:
        """Raise `SchemaError` or `ModelError` when `grammar` cannot be used."""
        self._require_open()
        Grammar(self._library, self.vocabulary, grammar).close()

    def logits(self) -> NDArray[np.float32]:
        """Logits float32 [vocabulary] after the last token read; raises `ModelError` when they are not finite."""
        return finite_copy(self._newest_logits(), self.path)

    def close(self) -> None:
        """Free the contexts of all conversations, and the model. Safe to call twice."""
        self._contexts.close()

    def _newest_logits(self) -> NDArray[np.float32]:
        self._require_open()
        if self._kept_logits is None:
            return newest_logits(self._api, self._shared.handle, vocabulary_size=self.vocabulary.size, path=self.path)
        try:
            return require_sound(self._kept_logits, self.path)
        except ModelError as error:
            self.lose(error)
            raise

    def _read_next(self, token: int) -> None:
        self.announce(token)
        try:
            self._shared.read_announced()
        except ModelError:
            self.clear()
            raise

    def _decode(self, chunk: PromptChunk, ids: Sequence[int], places: Positions, *, want_logits: bool) -> None:
        """Read one batch."""
        self._read.add(ids, places)
        self._kept_logits = None
        try:
            logits = self._shared.read(chunk, self.position, places, sequence=self._number, want_logits=want_logits)
        except ModelError:
            self.clear()
            raise
        self._kept_logits = logits
        self.position += len(chunk)
