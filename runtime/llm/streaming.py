"""Tokens become pieces of text, never with half a character."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.answer import FinishReason
    from uhd_edge.runtime.llm.vocabulary import Vocabulary


class TextStream:
    """Iterates over the text of an answer; `finish_reason` and `completion_tokens` are final when it ends.

    `tokens` are the ids as they are generated and are read only as far as the text is.
    `stop_ids` end the answer, as does what llama.cpp knows as an end; the ending token
    counts as generated, as in transformers. A character that is spread over several tokens
    comes out when it is complete, and what never becomes one comes out as U+FFFD, as the
    reference's tokenizer has it. A token that completes no character gives an empty piece.
    """

    def __init__(self, tokens: Iterator[int], vocabulary: Vocabulary, stop_ids: tuple[int, ...]) -> None:
        self._tokens = tokens
        self._vocabulary = vocabulary
        self._stop_ids = frozenset(stop_ids)
        self.finish_reason: FinishReason = "length"
        self.completion_tokens = 0

    def __iter__(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for token in self._tokens:
            self.completion_tokens += 1
            if token in self._stop_ids or self._vocabulary.ends_answer(token):
                self.finish_reason = "stop"
                break
            yield decoder.decode(self._vocabulary.token_bytes(token))
        if text := decoder.decode(b"", final=True):
            yield text
