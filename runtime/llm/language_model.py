"""The language model: segments of text and embeddings in, tokens out, by llama.cpp.

llama.cpp aborts the process on several mistakes, so everything is checked before it is
called: widths, NaN, the length of a batch, the room in the context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.runtime.errors import ContextError, ModelError
from uhd_edge.runtime.llm.batch import embedding_batch, token_batch
from uhd_edge.runtime.llm.chunks import IMAGE_ROW, ids_of, in_batches, in_one_piece, piece_of
from uhd_edge.runtime.llm.grammar_sampling import Grammar
from uhd_edge.runtime.llm.llama_library import llama_library
from uhd_edge.runtime.llm.llama_loading import LlamaOptions, metadata, open_context, open_model
from uhd_edge.runtime.llm.sampling import Sampler, Sampling
from uhd_edge.runtime.llm.state import SEQUENCE, SavedState, put_state, take_state
from uhd_edge.runtime.llm.token_embeddings import PLAIN_ARCHITECTURES, TokenEmbeddings, open_token_embeddings
from uhd_edge.runtime.llm.vocabulary import Vocabulary
from uhd_edge.runtime.validation import HIGHEST_COUNT, MOST_THREADS, require_whole

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from uhd_edge.runtime.llm.chunks import Piece
    from uhd_edge.runtime.llm.segments import Segment

# Tokens per call of llama.cpp: larger ones cost memory and gain nothing on a small device.
BATCH = 512
# Beyond it a low temperature and a penalty, each up to a hundredfold, would make infinity of a logit.
LARGEST_LOGIT = 1e30


class LanguageModel:
    """A GGUF model held open with one conversation in its memory; close it, or use it with `with`.

    `context` is the most tokens a conversation may have, cut down to what the model was
    trained for. `gpu_layers` counts the layers on a GPU, -1 all. `threads` defaults to the
    usable cores, and to one for generating with a tiny model. llama.cpp's own choices, an
    F16 attention cache and flash attention, save time and memory and move logits by less
    than 1e-3; `exact` does without both, for comparisons with a reference.
    `vocabulary_is_sound` says that no token is in the file twice, on which llama.cpp
    aborts; without it that is looked up first.

    What was prefilled and generated stays in memory (`position` tokens) until `clear`, so
    that a conversation can go on, from its end or from where it was before (`rewind`,
    `save` and `restore`). `is_recurrent` says that some layers keep nothing but their newest
    state, and `reads_in_one_piece` that a prompt with images is read like one text. Not safe
    to use from two threads at once.

    Raises `ModelError` with llama.cpp's own reason when the file cannot be loaded, and
    `OptionError` for a setting that makes no sense.
    """

    def __init__(
        self,
        path: Path,
        *,
        context: int = 4096,
        threads: int | None = None,
        gpu_layers: int = 0,
        exact: bool = False,
        vocabulary_is_sound: bool = False,
    ) -> None:
        context = require_whole("context", context, 2, HIGHEST_COUNT)
        gpu_layers = require_whole("gpu_layers", gpu_layers, -1, HIGHEST_COUNT)
        threads = None if threads is None else require_whole("threads", threads, 1, MOST_THREADS)
        self.path = path
        self._library = llama_library()
        self._api = self._library.api
        self._context: Any = None
        self._model: Any = open_model(
            self._library, path, gpu_layers=gpu_layers, vocabulary_is_sound=vocabulary_is_sound
        )
        try:
            trained = int(self._api.llama_model_n_ctx_train(self._model))
            self.trained_context = trained or context
            self.context = min(context, self.trained_context)
            options = LlamaOptions(self.context, min(BATCH, self.context), threads, exact)
            self._context = open_context(self._library, path, self._model, options)
            self._read_facts(options)
        except BaseException:
            self.close()
            raise
        self._history: list[int] = []
        self.position = 0
        self.clearings = 0

    def _read_facts(self, options: LlamaOptions) -> None:
        api = self._api
        self.vocabulary = Vocabulary(api, self._model)
        self.width = int(api.llama_model_n_embd_inp(self._model))
        self._batch = min(options.batch, int(api.llama_n_batch(self._context)))
        rope = api.llama_model_rope_type(self._model)
        self._mrope = rope in (api.LLAMA_ROPE_TYPE_MROPE, api.LLAMA_ROPE_TYPE_IMROPE)
        self._memory = api.llama_get_memory(self._context)
        self.architecture = metadata(api, self._model, "general.architecture")
        self._table: TokenEmbeddings | None = None
        if self.architecture in PLAIN_ARCHITECTURES:
            self._table = open_token_embeddings(self.path, vocabulary_size=self.vocabulary.size, width=self.width)
        self.reads_in_one_piece = self._table is not None
        self.is_recurrent = bool(api.llama_model_is_hybrid(self._model) or api.llama_model_is_recurrent(self._model))

    def count(self, text: str) -> int:
        """How many tokens `text` has."""
        return len(self.vocabulary.tokenize(text))

    def clear(self) -> None:
        """Forget the conversation. Recurrent layers are zeroed too, in case they hold NaN.

        `clearings` counts it: who relies on what is in memory can tell whether it still is.
        """
        self._require_open()
        self._api.llama_memory_clear(self._memory, True)
        self._history.clear()
        self.position = 0
        self.clearings += 1

    def rewind(self, position: int) -> None:
        """Forget what came after the first `position` tokens; with recurrent layers only `restore` can.

        Raises `ModelError` when llama.cpp cannot, and memory is empty then.
        """
        self._require_open()
        if position > self.position or not self._api.llama_memory_seq_rm(self._memory, SEQUENCE, position, -1):
            self.clear()
            raise ModelError(f"{self.path}: the conversation cannot go back to its token {position}")
        del self._history[position:]
        self.position = position

    def save(self, *, whole: bool) -> SavedState:
        """Copy what is in memory, or, unless `whole`, what recurrent layers have in it. Raises `ModelError`."""
        self._require_open()
        data = take_state(self._library, self._context, whole=whole)
        return SavedState(data, np.array(self._history[: self.position], np.int32), whole)

    def restore(self, state: SavedState) -> None:
        """Go back to what `save` copied; what is not `whole` needs its tokens to be in memory still.

        Raises `ModelError` when llama.cpp cannot, and memory is empty then.
        """
        self._require_open()
        if state.whole:
            self.clear()
        try:
            put_state(self._library, self._context, state.data, whole=state.whole)
        except ModelError:
            self.clear()
            raise
        self._history[:] = state.history.tolist()
        self.position = max(self.position, state.position)
        self.rewind(state.position)

    def prefill(self, segments: Sequence[Segment]) -> None:
        """Read segments after what is in memory; the logits of the last one's end are kept for `generate`.

        Raises `ContextError` when they do not fit, `EngineError` for embeddings of another
        width or with NaN, `ModelError` when llama.cpp fails; nothing was read after the
        first two, and memory is empty after the last.
        """
        for _ in self.prefill_steps(segments):
            pass

    def prefill_steps(self, segments: Sequence[Segment]) -> Generator[str, None, None]:
        """Read segments as `prefill` does, with an empty text between two batches.

        There the generator may be closed: what was read until then stays in memory.
        """
        self._require_open()
        pieces = [piece_of(segment, self.vocabulary, width=self.width, path=self.path) for segment in segments]
        pieces = [piece for piece in pieces if len(piece)]
        total = sum(len(piece) for piece in pieces)
        if self.position + total > self.context:
            raise ContextError(
                f"the prompt has {self.position + total} tokens, the context {self.context}; raise --context"
            )
        ids, done = ids_of(pieces), 0
        for part in in_batches(in_one_piece(pieces, self._table), self._batch):
            if done:
                yield ""
                self._require_open()
            self._history[self.position :] = ids[done : done + len(part)]
            done += len(part)
            self._decode(part, want_logits=done == total)

    def generate(
        self, sampling: Sampling, *, max_tokens: int, grammar: str | None = None
    ) -> Generator[int, None, None]:
        """Yield tokens, each chosen as `sampling` says, up to `max_tokens` or the end of the context.

        With a `grammar` in llama.cpp's notation only tokens that keep to it are chosen, an
        ending one only where a text that fits is complete; `SchemaError` when llama.cpp does
        not take it.

        A token enters the memory when the one after it is asked for, so it does no harm to
        stop reading at any point. Raises `ModelError` when the model returns NaN.
        """
        self._require_open()
        room = self.context - self.position
        with Sampler(
            self._library,
            sampling,
            vocabulary_size=self.vocabulary.size,
            context=self.context,
            history=[token for token in self._history if token != IMAGE_ROW],
            grammar=None if grammar is None else Grammar(self._library, self.vocabulary, grammar),
        ) as sampler:
            for _ in range(min(max_tokens, room)):
                token = sampler.sample(self._context, self._newest_logits())
                yield token
                self._require_open()
                self._history.append(token)
                self._decode([token], want_logits=True)

    def require_grammar(self, grammar: str) -> None:
        """Raise `SchemaError` or `ModelError` when answers cannot be kept to `grammar`."""
        self._require_open()
        Grammar(self._library, self.vocabulary, grammar).close()

    def logits(self) -> NDArray[np.float32]:
        """Logits float32 [vocabulary] after the last token read; raises `ModelError` when they are not finite."""
        logits = self._newest_logits()
        if not np.isfinite(logits).all():
            raise self._broken()
        return logits.copy()

    def _newest_logits(self) -> NDArray[np.float32]:
        """Logits float32 [vocabulary] in llama.cpp's own memory, until it reads on, that can be sampled from.

        llama.cpp aborts on NaN and where nothing is likely; minus infinity for some tokens
        does no harm. This is done for every token: the largest logit tells in one pass.
        """
        self._require_open()
        pointer = self._api.llama_get_logits_ith(self._context, -1)
        if not pointer:
            raise ModelError(f"{self.path}: nothing has been read yet")
        logits = np.ctypeslib.as_array(pointer, (self.vocabulary.size,))
        if not abs(logits.max()) < LARGEST_LOGIT:  # nor is NaN, which is what the largest is when any is NaN
            raise self._broken()
        return logits

    def _broken(self) -> ModelError:
        return ModelError(f"{self.path}: the model returned NaN or infinity; its weights or the image are broken")

    def close(self) -> None:
        """Free the model; again is harmless."""
        context, model = self._context, self._model
        self._context = self._model = None
        try:
            if context is not None:
                self._library.call(self._api.llama_free, context)
        finally:
            if model is not None:
                self._library.call(self._api.llama_model_free, model)

    def __enter__(self) -> LanguageModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_open(self) -> None:
        if self._context is None:
            raise ModelError(f"{self.path}: the language model has been closed")

    def _decode(self, part: Piece, *, want_logits: bool) -> None:
        """Read one batch."""
        if isinstance(part, list):
            batch = token_batch(self._api, part, self.position, want_logits=want_logits)
        else:
            batch = embedding_batch(self._api, part, self.position, mrope=self._mrope, want_logits=want_logits)
        self._library.forget_log()
        status = self._library.call(self._api.llama_decode, self._context, batch.struct)
        if status != 0:
            reason = self._library.reason()
            self.clear()
            raise ModelError(f"{self.path}: llama.cpp failed with status {status} ({reason}); lower --context")
        self.position += batch.size
