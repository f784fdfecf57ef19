"""Watching a stream of frames: always the newest one, and a count of those there was no time for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from uhd_edge.runtime.ask_methods import shows_options
from uhd_edge.runtime.deprecation import warn_renamed
from uhd_edge.runtime.errors import BusyError, ImageError
from uhd_edge.runtime.validation import require_number

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.images.video import MediaInput
    from uhd_edge.runtime.options import AskOptions


class Asker(Protocol):
    """What is asked about each frame: an `AsyncAssistant`."""

    async def ask(self, images: MediaInput, question: str, /, **options: Unpack[AskOptions]) -> Answer:
        """Answer a question about one frame."""
        ...


Frames: TypeAlias = "AsyncIterable[MediaInput] | Iterable[MediaInput] | Callable[[], MediaInput | None]"


@dataclass(frozen=True)
class WatchResult:
    """An answer about one frame of a stream.

    `frame` counts the frames of the stream from 0; `dropped` says how many of those before
    it were never asked about.
    """

    frame: int
    dropped: int
    answer: Answer


@shows_options
async def watch(
    assistant: Asker,
    frames: Frames,
    question: str,
    *,
    every: float = 0.0,
    **options: Unpack[AskOptions],
) -> AsyncGenerator[WatchResult, None]:
    """Answer one question about a stream of frames again and again, always about its newest frame.

    `frames` is an async iterator, an iterator, or a function that returns the next frame
    and None at the end. An iterator and a function may wait for a camera: they are read in
    a thread of their own. Each frame must be an image of its own, not a buffer that is
    written to again. `every` is the least time in seconds from one question to the next.

    Frames are read as they come, whether or not there is time for them: what is newer when
    the next question is due takes the place of what was not asked about, which counts as
    dropped, as does a frame for which the assistant was `BusyError`. So the last frame is asked
    about, and of frames that come all at once, such as those of a list, no other. A thread
    that waits for a camera when the watch is closed ends with the camera's next frame.

    Raises what `AsyncAssistant.ask` raises but `BusyError`, whatever reading a frame raises,
    `OptionError` for a senseless `every`, and `ImageError` for frames of another kind.
    """
    pause = require_number("every", every, 0.0, 1e9, hint="0 or more seconds")
    loop = asyncio.get_running_loop()
    asked = 0
    due = loop.time()
    async with _reading(frames) as newest:
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            taken = await newest.take()
            if taken is None:
                return
            number, frame = taken
            due = loop.time() + pause
            try:
                answer = await assistant.ask(frame, question, **options)
            except BusyError:
                continue
            asked += 1
            yield WatchResult(number, number + 1 - asked, answer)


if TYPE_CHECKING:
    Seen = WatchResult
else:

    def __getattr__(name: str) -> object:
        if name == "Seen":
            warn_renamed("Seen", "WatchResult")
            return WatchResult
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Newest:
    """The newest frame of a stream; put in from any thread, taken out in the event loop it was made in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._lock = threading.Lock()
        self._count = 0
        self._frame: tuple[int, MediaInput] | None = None
        self._ended = False
        self._error: BaseException | None = None
        self.unwanted = False

    def put(self, frame: MediaInput) -> None:
        with self._lock:
            was_empty = self._frame is None
            self._frame = (self._count, frame)
            self._count += 1
        if was_empty:  # once for all frames that come before it is taken
            self._tell()

    def end(self, error: BaseException | None = None) -> None:
        with self._lock:
            self._ended, self._error = True, error
        self._tell()

    async def take(self) -> tuple[int, MediaInput] | None:
        """Wait for a frame that has not been taken and return it with its number; None at the end."""
        while True:
            self._changed.clear()
            with self._lock:
                taken, self._frame = self._frame, None
                ended, error = self._ended, self._error
            if taken is not None:
                return taken
            if error is not None:
                raise error
            if ended:
                return None
            await self._changed.wait()

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the event loop has been closed
            self._loop.call_soon_threadsafe(self._changed.set)


@asynccontextmanager
async def _reading(frames: Frames) -> AsyncIterator[_Newest]:
    """Read frames as they come, in a task or in a thread."""
    newest = _Newest()
    if isinstance(frames, AsyncIterable):
        task = asyncio.get_running_loop().create_task(_read_async(frames, newest))
        try:
            yield newest
        finally:
            task.cancel()
            await asyncio.wait([task])
        return
    # A daemon, because a camera may never give another frame.
    threading.Thread(target=_read, args=(_iterator(frames), newest), name="uhd-edge frames", daemon=True).start()
    try:
        yield newest
    finally:
        newest.unwanted = True


async def _read_async(frames: AsyncIterable[MediaInput], newest: _Newest) -> None:
    try:
        async for frame in frames:
            newest.put(frame)
    except BaseException as error:
        newest.end(error)
    else:
        newest.end()


def _read(frames: Iterator[MediaInput], newest: _Newest) -> None:
    try:
        for frame in frames:
            if newest.unwanted:
                break
            newest.put(frame)
    except BaseException as error:
        newest.end(error)
    else:
        newest.end()


def _iterator(frames: Iterable[MediaInput] | Callable[[], MediaInput | None]) -> Iterator[MediaInput]:
    if isinstance(frames, Iterable) and not isinstance(frames, str | bytes | bytearray | memoryview):
        return iter(frames)
    if callable(frames):
        return _returned_by(frames)
    raise ImageError(f"frames are an iterator or a function, not {type(frames).__name__}; give one of them")


def _returned_by(camera: Callable[[], MediaInput | None]) -> Iterator[MediaInput]:
    while (frame := camera()) is not None:
        yield frame
