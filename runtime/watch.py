"""Watching a stream of frames: a question about the newest one, over and over."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from uhd_edge.runtime.ask_methods import shows_options
from uhd_edge.runtime.errors import BusyError, ImageError
from uhd_edge.runtime.images.camera import camera_frames
from uhd_edge.runtime.images.changes import ChangeDetector
from uhd_edge.runtime.release import warn_renamed
from uhd_edge.runtime.validation import require_number

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.images.loading import ImageInput
    from uhd_edge.runtime.images.video import MediaInput
    from uhd_edge.runtime.options import AskOptions


class Asker(Protocol):
    """What answers about each frame: an `AsyncAssistant`."""

    async def ask(self, images: MediaInput, question: str, /, **options: Unpack[AskOptions]) -> Answer:
        """Answer a question about one frame."""
        ...


Frames: TypeAlias = (
    "AsyncIterable[MediaInput] | Iterable[MediaInput] | Callable[[], MediaInput | None] | str | os.PathLike[str]"
)


@dataclass(frozen=True)
class WatchResult:
    """An answer about one frame of a stream.

    `frame` is the number of the frame, counted from 0; `dropped` is how many frames before it were
    skipped.
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
    on_change: float = 0.0,
    **options: Unpack[AskOptions],
) -> AsyncGenerator[WatchResult, None]:
    """Answer a question about the newest frame of a stream, over and over.

    `frames` is an async iterator, an iterator, or a function that returns the next frame, and
    None at the end. Iterators and functions may block until a camera has a frame, because they
    are read in a thread. Each frame must be a new image, not a buffer that is overwritten. The
    name of a camera, the address of a stream or the path of a video is read by `camera_frames`.
    `every` is the least time in seconds between two questions. With `on_change` a frame is skipped
    unless a part of it differs by that many grey levels (0 to 255) from the last one that was not.

    All frames are read as they arrive. When the next question is due, it is about the newest
    frame, and older ones are skipped; so is a frame for which the assistant raises `BusyError`.
    The last frame is always asked about. If all frames are there at once, as in a list, it is the
    only one. When the watch is closed, a thread that waits for a camera ends with the next frame.

    Raises what `AsyncAssistant.ask` raises except `BusyError`, what reading a frame raises,
    `OptionError` for an invalid `every` or `on_change`, and `ImageError` if `frames` is something else.
    """
    pause = require_number("every", every, 0.0, 1e9, hint="0 or more seconds")
    least_change = require_number("on_change", on_change, 0.0, 255.0, hint="grey levels from 0 to 255")
    changes = ChangeDetector()
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
            if least_change and not await asyncio.to_thread(changes.is_new, cast("ImageInput", frame), least_change):
                continue
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
    """The newest frame of a stream; any thread may put it, the event loop takes it."""

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
        if was_empty:  # one wake-up is enough for all frames until one is taken
            self._wake()

    def end(self, error: BaseException | None = None) -> None:
        with self._lock:
            self._ended, self._error = True, error
        self._wake()

    async def take(self) -> tuple[int, MediaInput] | None:
        """Wait for a new frame and return it with its number; None at the end."""
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

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the event loop has been closed
            self._loop.call_soon_threadsafe(self._changed.set)


@asynccontextmanager
async def _reading(frames: Frames) -> AsyncIterator[_Newest]:
    """Read frames as they arrive, in a task or in a thread."""
    newest = _Newest()
    if isinstance(frames, AsyncIterable):
        task = asyncio.get_running_loop().create_task(_read_async(frames, newest))
        try:
            yield newest
        finally:
            task.cancel()
            await asyncio.wait([task])
        return
    # A daemon thread, because the camera may never return another frame.
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


def _iterator(
    frames: Iterable[MediaInput] | Callable[[], MediaInput | None] | os.PathLike[str],
) -> Iterator[MediaInput]:
    if isinstance(frames, str | os.PathLike):
        return camera_frames(frames)
    if isinstance(frames, Iterable) and not isinstance(frames, bytes | bytearray | memoryview):
        return iter(frames)
    if callable(frames):
        return _returned_by(frames)
    raise ImageError(f"frames are a camera, an iterator or a function, not {type(frames).__name__}; give one of them")


def _returned_by(camera: Callable[[], MediaInput | None]) -> Iterator[MediaInput]:
    while (frame := camera()) is not None:
        yield frame
