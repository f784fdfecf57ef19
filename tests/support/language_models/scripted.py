"""A language model that says what a test lays into its mouth, and notes what is laid there by others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

END = "<end>"
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", END)


class ScriptedVocabulary:
    """A token for every tag, which gives no text, and for every text that was ever asked for."""

    def __init__(self) -> None:
        self._texts = list(TAGS)

    def token(self, text: str) -> int:
        if text not in self._texts:
            self._texts.append(text)
        return self._texts.index(text)

    def tokenize(self, text: str) -> list[int]:
        pattern = "|".join(map(re.escape, TAGS))
        return [self.token(part) for part in re.findall(f"{pattern}|.", text, re.DOTALL)]

    def text(self, token: int) -> str:
        return self._texts[token]

    def token_bytes(self, token: int) -> bytes:
        return b"" if token < len(TAGS) else self._texts[token].encode()

    def ends_answer(self, token: int) -> bool:
        return token == TAGS.index(END)


class ScriptedModel:
    """Says the pieces of `script`, each of them one token; `read` is all that it has read, as text.

    Each stretch of the answer has its grammar in `grammars`. With `reads_ahead`, a token is read as soon as it is
    announced, as happens beside other answers.
    """

    reads_ahead = False

    def __init__(self, script: Sequence[str], *, context: int = 1000) -> None:
        self.vocabulary = ScriptedVocabulary()
        self.context = context
        self.position = 0
        self.read = ""
        self.grammars: list[str | None] = []
        self._script = [self.vocabulary.token(piece) for piece in script]

    def prefill(self, chunks: Sequence[list[int]]) -> None:
        for token in (token for chunk in chunks for token in chunk):
            self.read += self.vocabulary.text(token)
            self.position += 1
        assert self.position < self.context

    def generate(
        self, _: Any, *, max_tokens: int, grammar: str | None = None, answer_start: int | None = None
    ) -> Iterator[int]:
        assert answer_start is not None
        assert answer_start <= self.position
        self.grammars.append(grammar)
        for _number in range(min(max_tokens, self.context - self.position)):
            token, position = self._script.pop(0), self.position
            yield token
            if self.position == position:
                self.prefill([[token]])

    def announce(self, token: int) -> None:
        if self.reads_ahead:
            self.prefill([[token]])
