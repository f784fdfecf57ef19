"""Tokens of one answer, generated in several stretches with text of our own in between."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from uhd_edge.engines.engine import ClosedByWith
from uhd_edge.runtime.generation.logprobs import rank_token
from uhd_edge.runtime.llm.streaming import TextStream

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from uhd_edge.runtime.answer import TokenLogprob
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.llm.sampling import Sampling


class TokenSource(ClosedByWith):
    """Generates the tokens of one answer; close it, or use it with `with`.

    `count` is the number of tokens so far, those that were put in included. `on_token` is called
    with each that the model generates. `tags` are texts that are shown even where the vocabulary
    has a special token for them. `ranked` are the tokens that the model generated, with the `logprobs`
    likeliest at each place; none where `logprobs` is None.
    """

    def __init__(
        self,
        model: LanguageModel,
        sampling: Sampling,
        *,
        stop_ids: tuple[int, ...],
        on_token: Callable[[], None],
        tags: Sequence[str] = (),
        logprobs: int | None = None,
    ) -> None:
        self._model = model
        self._sampling = sampling
        self._on_token = on_token
        self._stop_ids = stop_ids
        self._tag_ids = {ids[0]: tag for tag in tags if len(ids := model.vocabulary.tokenize(tag)) == 1}
        self._unread: list[int] = []  # the model reads a token when the next one is wanted
        self._unread_from = model.position
        self._open: Generator[int, None, None] | None = None
        self._logprobs = logprobs
        self._start = model.position
        self.ranked: list[TokenLogprob] = []
        self.count = 0

    @property
    def room(self) -> int:
        """How many more tokens the context has room for."""
        return self._model.context - self._unread_from - len(self._unread)

    def stream(self, most: int, *, grammar: str | None = None) -> TextStream:
        """Generate up to `most` more tokens, within a grammar if there is one, as text; ends the stream before."""
        self.close()
        self._open = self._generate(most, grammar)
        return TextStream(self._open, self._model.vocabulary, self._stop_ids, tags=self._tag_ids)

    def is_special(self, tag: str) -> bool:
        """Whether the vocabulary has a special token for a tag, which a grammar would not take."""
        return tag in self._tag_ids.values()

    def begins_with(self, tag: str) -> bool:
        """Whether the model would go on with the special token of a tag, which then stays; another is taken back."""
        self.close()
        ranked = len(self.ranked)
        with closing(self._generate(1, None)) as tokens:
            token = next(tokens, None)
        if token is None or self._tag_ids.get(token) == tag:
            return token is not None
        self._unread = []
        self.count -= 1
        del self.ranked[ranked:]
        return False

    def length(self, text: str) -> int:
        """How many tokens a text has."""
        return len(self._model.vocabulary.tokenize(text))

    def put(self, text: str) -> None:
        """Let the answer go on with `text`, in place of a token that would have ended it."""
        self.close()
        if self._unread and self._ends(self._unread[-1]):
            self._unread.pop()
        ids = self._model.vocabulary.tokenize(text)
        self._unread += ids
        self.count += len(ids)

    def close(self) -> None:
        """End the stream that is open. Safe to call twice."""
        if self._open is not None:
            self._open.close()
        self._open = None

    def _bytes(self, token: int) -> bytes:
        tag = self._tag_ids.get(token)
        return self._model.vocabulary.token_bytes(token) if tag is None else tag.encode()

    def _ends(self, token: int) -> bool:
        return token in self._stop_ids or self._model.vocabulary.ends_answer(token)

    def _generate(self, most: int, grammar: str | None) -> Generator[int, None, None]:
        most = min(most, self.room)
        if most < 1:
            return
        if unread := self._unread[self._model.position - self._unread_from :]:
            self._model.prefill([unread])
        self._unread, self._unread_from = [], self._model.position
        generated = self._model.generate(self._sampling, max_tokens=most, grammar=grammar, answer_start=self._start)
        with closing(generated) as tokens:
            for number, token in enumerate(islice(tokens, most), 1):  # asked for more, it would read the last one
                self._unread, self._unread_from = [token], self._model.position
                if number < most and not self._ends(token):
                    self._model.announce(token)
                self.count += 1
                self._on_token()
                if self._logprobs is not None and not self._ends(token):
                    self.ranked.append(rank_token(token, self._model.logits(), self._logprobs, self._bytes))
                yield token
                self._unread, self._unread_from = [], self._unread_from + 1
            self._unread, self._unread_from = [token], self._model.position
