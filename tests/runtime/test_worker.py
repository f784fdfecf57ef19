"""Questions in a queue: their places, cancelling at any moment, and closing."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from support.conversations.event_loops import opened, run
from support.conversations.held_steps import HeldSteps, hold_answers
from support.conversations.long_answer import LONG
from support.images.squares import picture

from uhd_edge.runtime import AsyncAssistant, Bundle
from uhd_edge.runtime.errors import BusyError, ModelError, OptionError
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.scenes import SLICED, draw_scene

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

QUESTION = "What is it?"
ALONE = """
import json, sys
from uhd_edge.runtime import Assistant
with Assistant(sys.argv[1], threads=1) as assistant:
    answer = assistant.ask(sys.argv[2], "What is it?", max_tokens=60, temperature=1.0, seed=7)
print(json.dumps([answer.text, answer.finish_reason, answer.usage.completion_tokens]))
"""


def scene(number: int) -> Image.Image:
    return draw_picture(draw_scene(f"cancelled {number}", SLICED))


@pytest.mark.parametrize("queue", [-1, 1.5, "many"])
def test_a_queue_has_a_whole_number_of_places(queue: Any) -> None:
    with pytest.raises(OptionError, match="queue"):
        AsyncAssistant(queue=queue)


def test_one_question_too_many_is_busy_and_the_others_are_answered(bundle: Bundle) -> None:
    async def test() -> None:
        async with opened(bundle, queue=2) as assistant:
            streams = [assistant.stream(picture(), QUESTION, max_tokens=5) for _ in range(3)]
            for _ in range(2):
                with pytest.raises(BusyError, match=r"^3 questions"):
                    assistant.stream(picture(), QUESTION)
            for stream in streams:
                assert [piece async for piece in stream]
            assert (await assistant.ask(picture(), QUESTION, max_tokens=5)).text == streams[0].answer.text

    run(test())


def test_a_cancelled_question_leaves_its_place_at_once(bundle: Bundle) -> None:
    async def test() -> None:
        async with opened(bundle, queue=1) as assistant:
            first = assistant.stream(picture(), QUESTION, schema=LONG, max_tokens=2000)
            await anext(first)
            waiting = assistant.stream(picture(), QUESTION)
            assert assistant.waiting == 1
            with pytest.raises(BusyError):
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

    async def test() -> None:
        async with opened(bundle) as assistant:
            held = hold_answers(monkeypatch)
            task = asyncio.create_task(assistant.ask(picture(), QUESTION, schema=LONG, max_tokens=2000))
            await asyncio.to_thread(held.reached.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            held.go_on.set()
            monkeypatch.undo()
            assert (await assistant.ask(picture(), QUESTION, max_tokens=3)).usage.completion_tokens == 3
            assert len(held.pieces) == 3

    run(test())


def test_a_question_whose_event_loop_was_closed_ends_within_one_token(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is held at its third token until the loop is closed; nobody has dropped the stream."""
    assistant, left = opened(bundle), []

    async def leave() -> HeldSteps:
        await assistant.opened()
        held = hold_answers(monkeypatch)
        left.append(assistant.stream(picture(), QUESTION, schema=LONG, max_tokens=2000))
        await asyncio.to_thread(held.reached.wait)
        return held

    async def test() -> None:
        assert (await assistant.ask(picture(), QUESTION, max_tokens=3)).usage.completion_tokens == 3
        await assistant.close()

    held = asyncio.run(leave())
    held.go_on.set()
    monkeypatch.undo()
    run(test())
    assert len(held.pieces) == 3


def test_a_dropped_stream_ends_its_answer(bundle: Bundle) -> None:
    async def test() -> None:
        async with opened(bundle, queue=0) as assistant:
            async for _ in assistant.stream(picture(), QUESTION, schema=LONG, max_tokens=2000):
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
        running = assistant.stream(picture(), QUESTION, schema=LONG, max_tokens=3000)
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
