"""An answer while it is generated: pieces of text to iterate over, then the whole answer."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import AnswerError

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer


class AnswerStream(Iterator[str]):
    """An answer that is being generated: iterate over its pieces of text, then read `answer`.

    Closing the stream, also with `with`, ends the answer; the assistant or session stays usable.
    """

    def __init__(self, steps: Generator[str, None, Answer]) -> None:
        self._steps = steps
        self._answer: Answer | None = None

    @property
    def answer(self) -> Answer:
        """The whole answer; raises `AnswerError` if the stream has not been read to its end."""
        if self._answer is None:
            raise AnswerError("the answer has not been read to its end")
        return self._answer

    def __next__(self) -> str:
        try:
            return next(self._steps)
        except StopIteration as end:
            if end.value is not None:  # which a generator returns once
                self._answer = end.value
            raise

    def finish(self) -> Answer:
        """Read the stream to its end, and return the answer."""
        for _ in self:
            pass
        return self.answer

    def close(self) -> None:
        """End the answer, unless it has ended. Safe to call twice."""
        self._steps.close()

    def __enter__(self) -> AnswerStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def skip_empty(steps: AnswerStream) -> AnswerStream:
    """Leave out the empty pieces of a stream, which come after steps that gave no text."""
    return AnswerStream(_skip_empty(steps))


def _skip_empty(steps: AnswerStream) -> Generator[str, None, Answer]:
    with closing(steps):
        for piece in steps:
            if piece:
                yield piece
    return steps.answer
