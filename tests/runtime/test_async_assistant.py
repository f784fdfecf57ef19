"""Asking with asyncio: the queue, cancelling at any moment, closing, several event loops and threads."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from support.answering_bundle import bundle_of, save

from uhd_edge.runtime import Assistant, AsyncAssistant, Bundle
from uhd_edge.runtime.errors import BundleError, Busy, ImageError, ModelError, OptionError, PromptError
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.scenes import SLICED, draw_scene

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

QUESTION = "What is it?"
ALONE = """
import json, sys
from uhd_edge.runtime import Assistant
with Assistant(sys.argv[1], threads=1) as assistant:
    answer = assistant.ask(sys.argv[2], "What is it?", max_tokens=60, temperature=1.0, seed=7)
print(json.dumps([answer.text, answer.finish_reason, answer.usage.completion_tokens]))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return save(bundle_of(tmp_path_factory.mktemp("bundles") / "telling"))


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Any:
    before = set(threading.enumerate())
    yield
    gc.collect()
    assert set(threading.enumerate()) <= before


def picture(seed: int = 0, size: tuple[int, int] = (365, 211)) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize(size)


def scene(number: int) -> Image.Image:
    return draw_picture(draw_scene(f"cancelled {number}", SLICED))


def opened(bundle: Bundle, *, queue: int = 8) -> AsyncAssistant:
    return AsyncAssistant(bundle, queue=queue, threads=1)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120))


def test_answers_are_those_of_the_assistant(bundle: Bundle) -> None:
    async def test() -> None:
        async with opened(bundle) as assistant:
            questions = [assistant.ask(picture(seed), QUESTION, max_tokens=9) for seed in range(4)]
            answers = await asyncio.gather(*questions)
            stream = assistant.stream(picture(2), QUESTION, max_tokens=9)
            pieces = [piece async for piece in stream]
        assert [answer.text for answer in answers] == expected
        assert "".join(pieces).strip() == stream.answer.text == expected[2]
        assert "" not in pieces
        assert stream.answer.usage == answers[2].usage

    with Assistant(bundle, threads=1) as alone:
        expected = [alone.ask(picture(seed), QUESTION, max_tokens=9).text for seed in range(4)]
    run(test())


def test_errors_reach_who_asked_and_nobody_else(bundle: Bundle) -> None:
    async def test() -> None:
        async with opened(bundle) as assistant:
            wrong: Any = "surprise"
            asked = [
                assistant.ask(b"no image", QUESTION),
                assistant.ask(picture(), " "),
                assistant.ask(picture(), QUESTION, max_tokens=0),
                assistant.ask(picture(), QUESTION, **{wrong: 1}),
                assistant.ask(picture(), QUESTION, max_tokens=3),
            ]
            *errors, answer = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(error) for error in errors] == [ImageError, PromptError, OptionError, TypeError]
        assert not isinstance(answer, BaseException)
        assert answer.usage.completion_tokens == 3

    run(test())


def test_what_cannot_be_opened_is_said_to_everyone(tmp_path: Path) -> None:
    async def test() -> None:
        assistant = AsyncAssistant(tmp_path / "none")
        with pytest.raises(BundleError):
            await assistant.ask(picture(), QUESTION)
        with pytest.raises(BundleError):
            await assistant.opened()
        with pytest.raises(BundleError):
            assistant.stream(picture(), QUESTION)
        await assistant.close()
        with pytest.raises(BundleError):
            async with AsyncAssistant(tmp_path / "none"):
                pass

    run(test())


@pytest.mark.parametrize("queue", [-1, 1.5, "many"])
def test_a_queue_has_a_whole_number_of_places(queue: Any) -> None:
    with pytest.raises(OptionError, match="queue"):
        AsyncAssistant(queue=queue)


def test_one_question_too_many_is_busy_and_the_others_are_answered(bundle: Bundle) -> None:
    async def test() -> None:
        async with opened(bundle, queue=2) as assistant:
            streams = [assistant.stream(picture(), QUESTION, max_tokens=5) for _ in range(3)]
            for _ in range(2):
                with pytest.raises(Busy, match=r"^3 questions"):
                    assistant.stream(picture(), QUESTION)
            for stream in streams:
                assert [piece async for piece in stream]
            assert (await assistant.ask(picture(), QUESTION, max_tokens=5)).text == streams[0].answer.text

    run(test())


def test_a_cancelled_question_leaves_its_place_at_once(bundle: Bundle) -> None:
    async def test() -> None:
        async with opened(bundle, queue=1) as assistant:
            first = assistant.stream(picture(), QUESTION, max_tokens=2000)
            await anext(first)
            waiting = assistant.stream(picture(), QUESTION)
            assert assistant.waiting == 1
            with pytest.raises(Busy):
                assistant.stream(picture(), QUESTION)
            await waiting.aclose()
            assert assistant.waiting == 0
            second = assistant.stream(picture(), QUESTION, max_tokens=3)
            await first.aclose()
            third = assistant.stream(picture(), QUESTION, max_tokens=3)
            assert [piece async for piece in second] == [piece async for piece in third]
            assert [piece async for piece in waiting] == []

    run(test())


def test_cancelling_ends_generation_within_one_token(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is held at its third token until the task has been cancelled."""
    reached, go_on = threading.Event(), threading.Event()
    taken: list[str] = []
    steps = Assistant.steps

    def held(self: Assistant, *arguments: Any, **options: Any) -> Any:
        for piece in steps(self, *arguments, **options):
            taken.append(piece)
            if len([piece for piece in taken if piece]) == 3:
                reached.set()
                go_on.wait()
            yield piece

    async def test() -> None:
        async with opened(bundle) as assistant:
            monkeypatch.setattr(Assistant, "steps", held)
            task = asyncio.create_task(assistant.ask(picture(), QUESTION, max_tokens=2000))
            await asyncio.to_thread(reached.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go_on.set()
            monkeypatch.undo()
            assert (await assistant.ask(picture(), QUESTION, max_tokens=3)).usage.completion_tokens == 3

    run(test())
    assert len([piece for piece in taken if piece]) == 3


def test_a_dropped_stream_ends_its_answer(bundle: Bundle) -> None:
    async def test() -> None:
        async with opened(bundle, queue=0) as assistant:
            async for _ in assistant.stream(picture(), QUESTION, max_tokens=2000):
                break
            gc.collect()
            assert (await assistant.ask(picture(), QUESTION, max_tokens=3)).usage.completion_tokens == 3

    run(test())


@pytest.mark.parametrize("kind", ["telling", "uhd-tiny"])
def test_a_hundred_cancelled_questions_leave_the_next_answer_as_in_a_fresh_process(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    bundle: Bundle = Bundle.open() if kind == "uhd-tiny" else request.getfixturevalue("bundle")
    pictures = [scene(number) if kind == "uhd-tiny" else picture(number) for number in range(100)]
    file = tmp_path / "picture.png"
    pictures[5].save(file)
    alone = subprocess.run([sys.executable, "-c", ALONE, bundle.path, file], capture_output=True, check=True)
    rng = random.Random(0)

    async def test() -> None:
        async with opened(bundle) as assistant:
            cancelled = 0
            begun = time.perf_counter()
            await assistant.ask(pictures[:2], QUESTION, max_tokens=60, mode="16x")
            longest = time.perf_counter() - begun
            for number in range(1000):  # some are quicker than that, and are answered before they are cancelled
                images = [pictures[number % 100], pictures[5]]
                asked = assistant.ask(images, QUESTION, max_tokens=60, mode=rng.choice(["16x", "4x"]))
                task = asyncio.create_task(asked)
                await asyncio.sleep(rng.uniform(0, longest))  # somewhere in encoding, prefilling or generating
                cancelled += task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                if cancelled == 100:
                    break
            assert cancelled == 100
            answer = await assistant.ask(file, QUESTION, max_tokens=60, temperature=1.0, seed=7)
            assert [answer.text, answer.finish_reason, answer.usage.completion_tokens] == json.loads(alone.stdout)

    run(test())


def test_closing_fails_what_waits_and_what_is_in_work(bundle: Bundle) -> None:
    async def test() -> None:
        assistant = opened(bundle)
        running = assistant.stream(picture(), QUESTION, max_tokens=3000)
        waiting = asyncio.create_task(assistant.ask(picture(), QUESTION))
        await anext(running)
        await asyncio.gather(assistant.close(), assistant.close())
        with pytest.raises(ModelError, match="has been closed"):
            [piece async for piece in running]
        with pytest.raises(ModelError, match="has been closed"):
            await waiting
        with pytest.raises(ModelError, match="has been closed"):
            await assistant.ask(picture(), QUESTION)
        await assistant.close()

    run(test())


def test_the_event_loop_goes_on_while_it_opens_and_answers(bundle: Bundle) -> None:
    """Whatever the worker does, a task that only yields gets its turns in between."""

    async def test() -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        turning = asyncio.create_task(turn())
        async with opened(bundle) as assistant:
            opening_turns = turns
            await assistant.ask(picture(), QUESTION, max_tokens=30)
        turning.cancel()
        assert opening_turns > 10
        assert turns > opening_turns + 10

    run(test())


def test_one_assistant_serves_event_loops_one_after_the_other(bundle: Bundle) -> None:
    assistant = opened(bundle)
    texts: list[str] = []

    async def ask() -> None:
        texts.append((await assistant.ask(picture(), QUESTION, max_tokens=8)).text)

    async def leave() -> None:
        await anext(assistant.stream(picture(), QUESTION, max_tokens=3000))

    run(ask())
    run(leave())
    run(ask())
    run(assistant.close())
    assert texts[0] == texts[1]


def test_one_assistant_serves_several_threads_at_once(bundle: Bundle) -> None:
    with Assistant(bundle, threads=1) as alone:
        expected = [alone.ask(picture(seed), QUESTION, max_tokens=8).text for seed in range(4)]
    assistant = opened(bundle, queue=12)
    given: dict[tuple[int, int], str] = {}

    async def ask(thread: int) -> None:
        for seed in range(4):
            given[thread, seed] = (await assistant.ask(picture(seed), QUESTION, max_tokens=8)).text

    threads = [threading.Thread(target=asyncio.run, args=(ask(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run(assistant.close())
    assert given == {(thread, seed): expected[seed] for thread in range(4) for seed in range(4)}


def test_what_nobody_closes_ends_when_it_is_collected(bundle: Bundle) -> None:
    async def test() -> None:
        await opened(bundle).ask(picture(), QUESTION, max_tokens=3)

    run(test())  # and no thread is left, see above


def test_what_nobody_closes_does_not_keep_the_process(bundle: Bundle) -> None:
    program = (
        "import asyncio, sys; from uhd_edge.runtime import AsyncAssistant\n"
        "assistant = AsyncAssistant(sys.argv[1], threads=1)\n"
        "async def main():\n"
        "    stream = assistant.stream(None, 'Go on', max_tokens=100000)\n"
        "    print(await anext(stream) != '')\n"
        "    sys.stdout.flush()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, bundle.path], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
