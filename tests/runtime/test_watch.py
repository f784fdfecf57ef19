"""Watching frames: the newest counts, the others are counted."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.conversations.event_loops import run
from support.places import EXAMPLES

from uhd_edge.runtime import Assistant, AsyncAssistant, Bundle
from uhd_edge.runtime.errors import BusyError, ImageError, OptionError
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.scenes import SINGLE, draw_scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

QUESTION = "Describe the scene."


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open()


@pytest.fixture(scope="module")
def texts(bundle: Bundle) -> list[str]:
    with Assistant(bundle, threads=1) as assistant:
        texts = [assistant.ask(frame(number), QUESTION, max_tokens=40).text for number in range(8)]
    assert len(set(texts)) == len(texts)
    return texts


def frame(number: int) -> np.ndarray:
    return np.asarray(draw_picture(draw_scene(f"frame {number}", SINGLE)))


def test_the_newest_frame_is_asked_about_and_the_others_are_counted(bundle: Bundle, texts: list[str]) -> None:
    more = [asyncio.Event() for _ in range(2)]

    async def camera() -> AsyncIterator[np.ndarray]:
        yield frame(0)
        await more[0].wait()
        for number in (1, 2, 3):  # in one go: nobody gets a turn in between
            yield frame(number)
        await more[1].wait()
        for number in (4, 5):
            yield frame(number)

    async def test() -> None:
        seen = []
        async with AsyncAssistant(bundle, threads=1) as assistant:
            async for answered in assistant.watch(camera(), QUESTION, max_tokens=40):
                seen.append((answered.frame, answered.dropped, answered.answer.text))
                if len(seen) <= len(more):
                    more[len(seen) - 1].set()
        assert seen == [(0, 0, texts[0]), (3, 2, texts[3]), (5, 3, texts[5])]

    run(test())


@pytest.mark.parametrize("kind", ["iterator", "function"])
def test_a_camera_that_blocks_is_read_in_a_thread(bundle: Bundle, texts: list[str], kind: str) -> None:
    wanted = threading.Semaphore(1)
    readers = set()

    def camera() -> Iterator[np.ndarray]:
        for number in range(4):
            wanted.acquire()
            readers.add(threading.current_thread())
            yield frame(number)

    async def test() -> None:
        seen = []
        frames = camera()
        async with AsyncAssistant(bundle, threads=1) as assistant:
            watched = frames if kind == "iterator" else lambda: next(frames, None)
            async for answered in assistant.watch(watched, QUESTION, max_tokens=40):
                seen.append((answered.frame, answered.dropped, answered.answer.text))
                wanted.release()
        assert seen == [(number, 0, texts[number]) for number in range(4)]

    run(test())
    assert threading.main_thread() not in readers
    for reader in readers:
        reader.join()


def test_of_frames_that_come_at_once_the_last_is_asked_about(bundle: Bundle, texts: list[str]) -> None:
    async def test() -> None:
        ready = asyncio.Event()

        async def frames() -> AsyncIterator[np.ndarray]:
            for number in range(8):
                yield frame(number)
            ready.set()

        async with AsyncAssistant(bundle, threads=1) as assistant:
            seen = [answered async for answered in assistant.watch(frames(), QUESTION, max_tokens=40)]
        assert ready.is_set()
        assert [(last.frame, last.dropped, last.answer.text) for last in seen] == [(7, 7, texts[7])]

    run(test())


def test_questions_are_at_least_so_far_apart(bundle: Bundle) -> None:
    async def test() -> None:
        async def endless() -> AsyncIterator[np.ndarray]:
            while True:
                yield frame(0)
                await asyncio.sleep(0.001)

        async with AsyncAssistant(bundle, threads=1) as assistant:
            loop = asyncio.get_running_loop()
            start, count = loop.time(), 0
            async for _ in assistant.watch(endless(), QUESTION, every=0.2, max_tokens=1):
                assert loop.time() - start >= 0.2 * count
                count += 1
                if count == 4:
                    break

    run(test())


class SlowFile(os.PathLike[str]):
    """A picture's path that keeps whoever opens it waiting."""

    def __init__(self) -> None:
        self.opened, self.free = threading.Event(), threading.Event()

    def __fspath__(self) -> str:
        self.opened.set()
        self.free.wait(60)
        return str(EXAMPLES / "bench.png")


def test_a_busy_assistant_drops_the_frame_and_the_watch_goes_on(bundle: Bundle, texts: list[str]) -> None:
    async def test() -> None:
        met, slow = asyncio.Event(), SlowFile()

        async def camera() -> AsyncIterator[np.ndarray]:
            yield frame(0)
            await met.wait()
            yield frame(1)

        async with AsyncAssistant(bundle, threads=1, queue=0) as assistant:
            ask = assistant.ask

            async def ask_and_tell(*arguments: Any, **options: Any) -> Any:
                try:
                    return await ask(*arguments, **options)
                except BusyError:
                    slow.free.set()
                    await other
                    met.set()
                    raise

            other = asyncio.create_task(ask(slow, QUESTION, max_tokens=1))
            await asyncio.to_thread(slow.opened.wait, 60)
            assistant.ask = ask_and_tell  # type: ignore[method-assign]
            answered = await anext(assistant.watch(camera(), QUESTION, max_tokens=40))
        assert (answered.frame, answered.dropped, answered.answer.text) == (1, 1, texts[1])

    run(test())


def test_a_watch_that_is_left_stops_reading(bundle: Bundle) -> None:
    closed = []

    async def camera() -> AsyncIterator[np.ndarray]:
        try:
            while True:
                yield frame(0)
                await asyncio.sleep(0)
        finally:
            closed.append(True)

    async def test() -> None:
        async with AsyncAssistant(bundle, threads=1) as assistant:
            before = asyncio.all_tasks()
            watching = assistant.watch(camera(), QUESTION, max_tokens=1)
            await anext(watching)
            await watching.aclose()
            assert closed
            assert asyncio.all_tasks() == before

    run(test())


@pytest.mark.parametrize("kind", ["async", "iterator"])
def test_what_reading_a_frame_raises_comes_out(bundle: Bundle, kind: str) -> None:
    async def broken_async() -> AsyncIterator[np.ndarray]:
        yield frame(0)
        raise OSError("the camera is gone")

    def broken() -> Iterator[np.ndarray]:
        yield from ()
        raise OSError("the camera is gone")

    async def test() -> None:
        async with AsyncAssistant(bundle, threads=1) as assistant:
            with pytest.raises(OSError, match="the camera is gone"):
                async for _ in assistant.watch(broken_async() if kind == "async" else broken(), QUESTION):
                    pass

    run(test())


@pytest.mark.parametrize("frames", [5, b"film", None])
def test_frames_of_another_kind_are_refused(bundle: Bundle, frames: Any) -> None:
    async def test() -> None:
        async with AsyncAssistant(bundle, threads=1) as assistant:
            with pytest.raises(ImageError, match="frames are"):
                await anext(assistant.watch(frames, QUESTION))

    run(test())


@pytest.mark.parametrize("every", [-1, float("nan"), "often"])
def test_a_pause_without_sense_is_refused(bundle: Bundle, every: Any) -> None:
    async def test() -> None:
        async with AsyncAssistant(bundle, threads=1) as assistant:
            with pytest.raises(OptionError, match="every"):
                await anext(assistant.watch(iter([frame(0)]), QUESTION, every=every))

    run(test())
