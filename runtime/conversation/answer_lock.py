"""One answer at a time: the newest question owns the language model's memory."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from uhd_edge.runtime.conversation.answer_stream import AnswerStream
from uhd_edge.runtime.errors import AnswerError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.llm.language_model import LanguageModel


class AnswerLock:
    """Lets threads and conversations take turns with the engines and the language model.

    Hold `lock`, a reentrant one, for anything else that must not happen during a step of an answer.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._newest: object = None
        self._closed = False

    def require_open(self) -> None:
        """Raise `ModelError` when the assistant has been closed."""
        if self._closed:
            raise ModelError("the assistant has been closed; open a new one")

    def close(self) -> None:
        """End the current answer at its next step, and refuse all others."""
        with self.lock:
            self._closed = True

    @contextmanager
    def between_answers(self, model: LanguageModel) -> Iterator[None]:
        """Hold `lock` for something else than an answer; if that clears the model's memory, the open answer ends."""
        with self.lock:
            self.require_open()
            clearings = model.clearings
            try:
                yield
            finally:
                if model.clearings != clearings:
                    self._newest = None

    def take_turns(
        self, begin: Callable[[], Generator[str, None, Answer]], require_open: Callable[[], None]
    ) -> AnswerStream:
        """Run the steps of an answer, which `begin` starts; other questions may come between two steps.

        `require_open` is called before each step, and raises when the answer is to end. The
        model's memory belongs to the newest question: the next step of an older one raises
        `AnswerError`.
        """
        return AnswerStream(self._take_turns(begin, require_open))

    def finish(self, stream: AnswerStream) -> Answer:
        """Run all steps without letting other questions in between, and return the answer."""
        with self.lock:
            return stream.finish()

    def _take_turns(
        self, begin: Callable[[], Generator[str, None, Answer]], require_open: Callable[[], None]
    ) -> Generator[str, None, Answer]:
        ticket = object()
        stream: AnswerStream | None = None
        while True:
            with self.lock:
                require_open()
                if stream is None:
                    self._newest, stream = ticket, AnswerStream(begin())
                if self._newest is not ticket:
                    raise AnswerError("another question was asked before this answer was read to its end")
                piece = next(stream, None)
            if piece is None:
                return stream.answer
            yield piece
