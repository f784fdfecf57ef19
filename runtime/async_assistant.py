"""An assistant for asyncio programs, which never blocks the event loop."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, cast

from uhd_edge.runtime.answer import Answer
from uhd_edge.runtime.ask_methods import ask_method, shows_options
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.conversation.in_turns import Failed, Finished, Job
from uhd_edge.runtime.conversation.mailbox import Mailbox
from uhd_edge.runtime.errors import AnswerError
from uhd_edge.runtime.validation import HIGHEST_COUNT, MOST_AT_ONCE, require_whole
from uhd_edge.runtime.watch import watch
from uhd_edge.runtime.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from typing_extensions import Unpack

    from uhd_edge.engines.names import EngineName
    from uhd_edge.runtime.ask_methods import ImagesInput, QuestionInput
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.conversation import answer_stream
    from uhd_edge.runtime.modes import Mode, Precision
    from uhd_edge.runtime.options import AskOptions
    from uhd_edge.runtime.watch import Asker, Frames, WatchResult

Event: TypeAlias = str | Finished | Failed


class OpenOptions(TypedDict, total=False):
    """The settings of an assistant, see `Assistant`."""

    mode: Mode | None
    max_slices: int | None
    engine: EngineName
    precision: Precision | Literal["auto"]
    context: int
    threads: int | None
    gpu_layers: int | Literal["auto"]
    cache_bytes: int
    session_bytes: int
    at_once: int
    keep_prompts: bool


class AsyncAssistant:
    """An `Assistant` to await; close it with `await close()`, or use it with `async with`.

    The settings are those of `Assistant`. A thread of its own opens the assistant, answers
    questions, and closes it. Opening starts immediately in the background; questions
    queue up meanwhile, and `await opened()` or `async with` waits for it. One question is answered at a time, or up
    to `at_once` of them, a step of each in turn. At most `queue` more wait; one more raises `BusyError`.

    Cancelling a task that asks ends its answer within one step (one token, or one image encoded),
    or takes its question out of the queue; the assistant stays usable. Images are read when the
    answer starts, so an array must not be changed before that.

    An unknown setting raises `TypeError` at once. Invalid values raise `OptionError` when the assistant
    is opened.

    Safe to use from several threads and event loops. An assistant that nobody closes is closed
    when it is garbage-collected or the program ends, after the current step.
    """

    def __init__(
        self, bundle: Bundle | str | Path | None = None, *, queue: int = 8, **options: Unpack[OpenOptions]
    ) -> None:
        inspect.signature(Assistant).bind(bundle, **options)  # raises `TypeError` here, not later in the thread
        queue = require_whole("queue", queue, 0, HIGHEST_COUNT)
        at_once = require_whole("at_once", options.get("at_once", 1), 1, MOST_AT_ONCE)
        self._worker = Worker(lambda: Assistant(bundle, **options), queue=queue, at_once=at_once)
        self._end = weakref.finalize(self, self._worker.end)

    async def opened(self) -> Bundle:
        """Wait until the assistant is open and return its bundle.

        Raises `BundleError`, `EngineError`, `ModelError`, `OptionError` or `ImageError` as
        `Assistant` does.
        """
        return (await asyncio.wrap_future(self._worker.opened)).bundle

    async def defaults(self) -> tuple[Mode, int]:
        """Wait as `opened` does, and return mode and most slices of an image for questions that do not say."""
        encoder = (await asyncio.wrap_future(self._worker.opened)).encoder
        return encoder.mode, encoder.max_slices

    @ask_method
    async def ask(self, images: ImagesInput, question: QuestionInput, options: AskOptions) -> Answer:
        """Answer as `Assistant.ask` does; raises what it raises, and `BusyError`."""
        stream = AsyncAnswerStream(self, self._worker, _steps(images, question, options), with_text=False)
        async for _ in stream:
            pass
        return stream.answer

    @ask_method
    def stream(self, images: ImagesInput, question: QuestionInput, options: AskOptions) -> AsyncAnswerStream:
        """Answer in pieces of text, for `async for`; at the end the stream's `answer` is the whole answer.

        The question is queued at once, so `BusyError` is raised here; all other errors are raised
        with the first piece. Call it in a running event loop.
        """
        return AsyncAnswerStream(self, self._worker, _steps(images, question, options))

    @shows_options
    def watch(
        self,
        frames: Frames,
        question: str,
        *,
        every: float = 0.0,
        on_change: float = 0.0,
        **options: Unpack[AskOptions],
    ) -> AsyncGenerator[WatchResult, None]:
        """Answer a question about every newest frame of a stream; see `uhd_edge.runtime.watch.watch`."""
        return watch(cast("Asker", self), frames, question, every=every, on_change=on_change, **options)

    @property
    def notes(self) -> tuple[str, ...]:
        """The assistant's `notes`; none before it is open."""
        opened = self._worker.opened
        return opened.result().notes if opened.done() and opened.exception() is None else ()

    @property
    def context(self) -> int:
        """Most tokens of prompt and answer together, as `Assistant.context`; 0 before it is open."""
        opened = self._worker.opened
        return opened.result().context if opened.done() and opened.exception() is None else 0

    @property
    def pieces(self) -> int:
        """How many pieces of text have been written, those of answers that were cancelled included."""
        return self._worker.pieces

    @property
    def waiting(self) -> int:
        """How many questions are waiting."""
        return self._worker.waiting

    async def close(self) -> None:
        """End the current answer at its next step, fail waiting questions with `ModelError`, and close everything.

        Safe to call twice.
        """
        self._worker.stop()
        await asyncio.wrap_future(self._worker.ended)
        self._end()  # returns at once, because everything has ended

    async def __aenter__(self) -> AsyncAssistant:
        try:
            await self.opened()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncAnswerStream:
    """An answer in progress: iterate over its pieces with `async for`, then read `answer`.

    For one task at a time. The answer ends within one step after `await aclose()`, after the task
    that waits for a piece is cancelled, and after the stream is garbage-collected.
    """

    def __init__(
        self,
        owner: AsyncAssistant,
        worker: Worker,
        steps: Callable[[Assistant], answer_stream.AnswerStream],
        *,
        with_text: bool = True,
    ) -> None:
        self._owner = owner  # which would otherwise be closed if nobody else held it
        self._events: Mailbox[Event] = Mailbox(asyncio.get_running_loop())
        self._answer: Answer | None = None
        self._job = Job(steps, _teller(self._events, with_text=with_text))
        worker.submit(self._job)

    @property
    def answer(self) -> Answer:
        """The whole answer; raises `AnswerError` if the stream has not been read to its end."""
        if self._answer is None:
            raise AnswerError("the answer has not been read to its end")
        return self._answer

    @property
    def is_waiting(self) -> bool:
        """Whether no further piece has been generated yet; small models write several at a time."""
        return self._events.is_empty

    def __aiter__(self) -> AsyncAnswerStream:
        return self

    async def __anext__(self) -> str:
        if self._job.cancelled or self._answer is not None:
            raise StopAsyncIteration
        try:
            event = await self._events.get()
        except asyncio.CancelledError:
            self._job.cancelled = True
            raise
        if isinstance(event, str):
            return event
        if isinstance(event, Failed):
            self._job.cancelled = True
            raise event.error
        self._answer = event.answer
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the answer, unless it has ended. Safe to call twice."""
        self._job.cancelled = True

    def __del__(self) -> None:
        if (job := getattr(self, "_job", None)) is not None:
            job.cancelled = True


def _steps(
    images: ImagesInput, question: QuestionInput, options: AskOptions
) -> Callable[[Assistant], answer_stream.AnswerStream]:
    return lambda assistant: assistant.steps(images, question, **options)


def _teller(mailbox: Mailbox[Event], *, with_text: bool) -> Callable[[Event], bool]:
    """Return a function that puts the worker's events into a mailbox, and returns False if nobody can read them.

    It has no reference to the stream, so that the stream can be garbage-collected during its answer.
    """

    def tell(event: Event) -> bool:
        is_text = isinstance(event, str)
        return mailbox.put(event, is_last=not is_text) if with_text or not is_text else mailbox.can_be_read

    return tell
