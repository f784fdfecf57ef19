"""Asking with asyncio: answers and errors, several event loops and threads, and what nobody closes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest
from support.conversations.event_loops import opened, run
from support.conversations.long_answer import LONG
from support.images.squares import picture

from uhd_edge.runtime import Assistant, AsyncAssistant, Bundle, async_assistant
from uhd_edge.runtime.async_assistant import AsyncAnswerStream
from uhd_edge.runtime.errors import BundleError, ImageError, OptionError, PromptError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

QUESTION = "What is it?"


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


def test_a_setting_that_does_not_exist_is_refused_at_once() -> None:
    wrong: Any = {"surprise": 1}
    with pytest.raises(TypeError, match="unexpected keyword argument 'surprise'"):
        AsyncAssistant(**wrong)


def test_the_event_loop_goes_on_while_it_opens_and_answers(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the worker does, a task that only yields gets its turns in between: the worker waits for them."""
    turned, turns = threading.Condition(), 0

    def after_turns(begin: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(begin)
        def begin_later(*arguments: Any, **options: Any) -> Any:
            with turned:
                wanted = turns + 11
                assert turned.wait_for(lambda: turns >= wanted, timeout=60)
            return begin(*arguments, **options)

        return begin_later

    monkeypatch.setattr(Assistant, "steps", after_turns(Assistant.steps))
    monkeypatch.setattr(async_assistant, "Assistant", after_turns(Assistant))

    async def test() -> None:
        async def turn() -> None:
            nonlocal turns
            while True:
                with turned:
                    turns += 1
                    turned.notify_all()
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
    left: list[AsyncAnswerStream] = []

    async def ask() -> None:
        texts.append((await assistant.ask(picture(), QUESTION, max_tokens=8)).text)

    async def leave() -> None:
        left.append(assistant.stream(picture(), QUESTION, schema=LONG, max_tokens=3000))
        await anext(left[0])

    run(ask())
    run(leave())  # while the worker still has something to say to the loop that ends here
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

    run(test())  # and no thread is left


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
