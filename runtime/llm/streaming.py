"""Tokens become pieces of text with whole characters."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from uhd_edge.runtime.answer import FinishReason
    from uhd_edge.runtime.llm.vocabulary import Vocabulary


class TextStream:
    """Iterates over the text of an answer; `finish_reason` and `completion_tokens` are final when it ends.

    `tokens` are ids while they are generated; no more are read than the text needs. The answer
    ends at one of the `stop_ids`, or at a token that llama.cpp knows as an end; that token
    counts as generated, as in transformers. A character of several tokens is yielded when it is
    complete. Bytes that never become a character give U+FFFD, as in the reference's
    tokenizer. A token that completes no character gives an empty piece. `tags` has the text of
    special tokens that are shown; others give no text.
    """

    def __init__(
        self,
        tokens: Iterator[int],
        vocabulary: Vocabulary,
        stop_ids: tuple[int, ...],
        *,
        tags: Mapping[int, str] | None = None,
    ) -> None:
        self._tokens = tokens
        self._vocabulary = vocabulary
        self._stop_ids = frozenset(stop_ids)
        self._tags = {} if tags is None else {token: text.encode() for token, text in tags.items()}
        self.finish_reason: FinishReason = "length"
        self.completion_tokens = 0
        self._pieces = self._read()

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    def _read(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for token in self._tokens:
            self.completion_tokens += 1
            if token in self._stop_ids or self._vocabulary.ends_answer(token):
                self.finish_reason = "stop"
                break
            yield decoder.decode(self._tags.get(token) or self._vocabulary.token_bytes(token))
        if text := decoder.decode(b"", final=True):
            yield text
