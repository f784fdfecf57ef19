"""An assistant for asyncio programs: the event loop never waits for engines or the language model."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

from uhd_edge.runtime.answer import Answer
from uhd_edge.runtime.ask_methods import ask_method, shows_options
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.errors import PromptError
from uhd_edge.runtime.validation import HIGHEST_COUNT, require_whole
from uhd_edge.runtime.watch import watch
from uhd_edge.runtime.worker import Failed, Finished, Job, Worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from pathlib import Path

    from typing_extensions import Unpack

    from uhd_edge.engines.selection import EngineName
    from uhd_edge.runtime.ask_methods import ImagesInput, QuestionInput
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode, Precision
    from uhd_edge.runtime.options import AskOptions
    from uhd_edge.runtime.watch import Frames, WatchResult

Event: TypeAlias = str | Finished[Answer] | Failed


class OpenOptions(TypedDict, total=False):
    """What an assistant is opened with, see `Assistant`."""

    mode: Mode | None
    max_slices: int | None
    engine: EngineName
    precision: Precision | Literal["auto"]
    context: int
    threads: int | None
    gpu_layers: int
    cache_bytes: int
    session_bytes: int


class AsyncAssistant:
    """An assistant that is awaited; close it with `await close()`, or use it with `async with`.

    A thread of its own opens the assistant, answers one question after the other, and
    closes it. Settings are those of `Assistant`. Opening begins at once and is not waited
    for: questions queue meanwhile, and `await opened()`, or `async with`, tells when it is
    done. At most `queue` questions wait beside the one being answered; one more is
    answered with `BusyError`.

    Cancelling a task that asks ends its answer within one step (a token, an image encoded)
    and leaves everything usable; a question that waited is dropped. An image is read when
    its turn comes: an array that is written to meanwhile is seen as it is then.

    Safe to use from several threads and event loops, at the same time and one after the
    other. What is not closed is closed when it is collected or the program ends, as soon
    as the step in work is done.
    """

    def __init__(
        self, bundle: Bundle | str | Path | None = None, *, queue: int = 8, **options: Unpack[OpenOptions]
    ) -> None:
        queue = require_whole("queue", queue, 0, HIGHEST_COUNT)
        self._worker = Worker(lambda: Assistant(bundle, **options), queue=queue)
        self._end = weakref.finalize(self, self._worker.end)

    async def opened(self) -> Bundle:
        """Wait until the assistant is open and return its bundle.

        Raises `BundleError`, `EngineError`, `ModelError`, `OptionError` or `ImageError` as
        `Assistant` does.
        """
        return (await asyncio.wrap_future(self._worker.opened)).bundle

    @ask_method
    async def ask(self, images: ImagesInput, question: QuestionInput, options: AskOptions) -> Answer:
        """Answer as `Assistant.ask` does, and raise what it raises, or `BusyError`."""
        stream = self.stream(images, question, **options)
        async for _ in stream:
            pass
        return stream.answer

    @ask_method
    def stream(self, images: ImagesInput, question: QuestionInput, options: AskOptions) -> AnswerStream:
        """Answer in pieces of text as they come, with `async for`; the whole answer is the stream's `answer`.

        The question is queued at once, so `BusyError` is raised here; all other errors come with
        the first piece. To be called where an event loop runs.
        """
        return AnswerStream(self, self._worker, lambda assistant: assistant.steps(images, question, **options))

    @shows_options
    def watch(
        self, frames: Frames, question: str, *, every: float = 0.0, **options: Unpack[AskOptions]
    ) -> AsyncGenerator[WatchResult, None]:
        """Answer a question about a stream of frames again and again, see `uhd_edge.runtime.watch.watch`."""
        return watch(self, frames, question, every=every, **options)

    @property
    def waiting(self) -> int:
        """How many questions wait for their turn."""
        return self._worker.waiting

    async def close(self) -> None:
        """End the answer in work at its next step, fail those that wait with `ModelError`, and free everything.

        Again is harmless.
        """
        self._worker.stop()
        await asyncio.wrap_future(self._worker.ended)
        self._end()  # by now there is nothing to wait for

    async def __aenter__(self) -> AsyncAssistant:
        try:
            await self.opened()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AnswerStream:
    """An answer that is being given: iterate over its pieces with `async for`, then read `answer`.

    For one task at a time. `await aclose()`, cancelling the task that waits for a piece,
    and dropping the stream all end the answer within one step.
    """

    def __init__(
        self,
        owner: AsyncAssistant,
        worker: Worker,
        steps: Callable[[Assistant], Generator[str, None, Answer]],
    ) -> None:
        self._owner = owner  # which would close when nobody holds it
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._answer: Answer | None = None
        self._job = Job(steps, _teller(asyncio.get_running_loop(), self._events))
        worker.submit(self._job)

    @property
    def answer(self) -> Answer:
        """The whole answer, once the stream has come to its end; `PromptError` before."""
        if self._answer is None:
            raise PromptError("the answer has not been read to its end")
        return self._answer

    def __aiter__(self) -> AnswerStream:
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
        self._answer = event.result
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the answer, if it has not ended; again is harmless."""
        self._job.cancelled = True

    def __del__(self) -> None:
        if (job := getattr(self, "_job", None)) is not None:
            job.cancelled = True


def _teller(loop: asyncio.AbstractEventLoop, events: asyncio.Queue[Event]) -> Callable[[Event], bool]:
    """Put what the worker tells into the queue of the event loop that asked; False when that loop is closed.

    It knows nothing of the stream, which would otherwise not be dropped while its answer is made.
    """

    def tell(event: Event) -> bool:
        try:
            loop.call_soon_threadsafe(events.put_nowait, event)
        except RuntimeError:
            return False
        return True

    return tell
