"""Several answers in progress: in turns, each as if it were alone, none held up by a longer one."""

from __future__ import annotations

import asyncio
import threading
from contextlib import nullcontext
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.conversations.event_loops import run
from support.conversations.long_answer import LONG
from support.conversations.same_answers import require_same
from support.images.squares import picture

from uhd_edge.runtime import Assistant, AsyncAssistant, Bundle
from uhd_edge.runtime.conversation.answer_stream import AnswerStream
from uhd_edge.runtime.conversation.in_turns import Job
from uhd_edge.runtime.errors import AnswerError, BusyError, ImageError, ModelError, OptionError
from uhd_edge.runtime.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from uhd_edge.runtime.answer import Answer

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

QUESTION = "What is it?"
NUMBERS = {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 5}
ASKED: list[dict[str, Any]] = [
    {"images": picture(1), "max_tokens": 20, "logprobs": 0},
    {"images": [picture(2), picture(3)], "max_tokens": 3, "logprobs": 0},
    {"images": None, "max_tokens": 40, "temperature": 1.0, "seed": 7, "presence_penalty": 0.5, "logprobs": 0},
    {"images": picture(4), "schema": NUMBERS, "max_tokens": 60, "logprobs": 0},
    {"images": picture(4), "max_tokens": 9, "answers": 3, "temperature": 1.0, "logprobs": 2},
    {"images": None, "max_tokens": 15, "mode": "4x", "logprobs": 0},
]


class Nothing(nullcontext[None]):
    """Opened in place of an assistant, by jobs that do not use it."""

    def __init__(self, lanes: int) -> None:
        super().__init__()
        self.lanes = lanes


def several(bundle: Bundle, at_once: int, *, queue: int = 8, threads: int = 1) -> AsyncAssistant:
    return AsyncAssistant(bundle, queue=queue, at_once=at_once, threads=threads)


@pytest.fixture(scope="module", params=["answering", "uhd-tiny", "hybrid"])
def kind(request: pytest.FixtureRequest) -> Bundle:
    if request.param == "uhd-tiny":
        return Bundle.open()
    found: Bundle = request.getfixturevalue("bundle" if request.param == "answering" else "hybrid_bundle")
    return found


@pytest.mark.parametrize("lanes", [1, 2])
def test_answers_are_those_of_questions_asked_alone(kind: Bundle, lanes: int) -> None:
    """Their tokens, and how likely each was; those read together are rounded differently (see `require_same`)."""
    with Assistant(kind, threads=lanes) as assistant:
        alone = [assistant.ask(question=QUESTION, **asked) for asked in ASKED]

    async def test() -> None:
        async with several(kind, 4, threads=lanes) as assistant:
            answers = await asyncio.gather(*(assistant.ask(question=QUESTION, **asked) for asked in ASKED))
        for answer, expected, asked in zip(answers, alone, ASKED, strict=True):
            if require_same(answer, expected, drawn="temperature" in asked):
                assert answer.usage == expected.usage
            for other, expected_other in zip(answer.alternatives, expected.alternatives, strict=True):
                require_same(other, expected_other, drawn=True)

    run(test())


def test_a_short_answer_ends_before_a_long_one_that_began_earlier(bundle: Bundle) -> None:
    async def test() -> None:
        async with several(bundle, 2) as assistant:
            long = assistant.stream(picture(), QUESTION, schema=LONG, max_tokens=3000)
            await anext(long)
            for _ in range(3):
                assert (await assistant.ask(picture(1), QUESTION, max_tokens=3)).usage.completion_tokens == 3
            with pytest.raises(AnswerError):
                _ = long.answer
            assert await anext(long)
            await long.aclose()

    run(test())


def test_every_answer_in_progress_has_its_turns() -> None:
    """A step of each in turn; the fourth begins as soon as one of the first three has ended."""
    order: list[int] = []
    opening, left = threading.Event(), [2, 5, 5, 2]
    answer: Any = object()

    def steps(number: int) -> Generator[str, None, Answer]:
        for _ in range(left[number]):
            order.append(number)
            yield ""
        return cast("Answer", answer)

    def open_nothing() -> Any:
        opening.wait()
        return Nothing(lanes=1)

    worker = Worker(open_nothing, queue=1, at_once=3)
    told: SimpleQueue[Any] = SimpleQueue()
    for number in range(4):
        worker.submit(Job(lambda _, number=number: AnswerStream(steps(number)), lambda event: not told.put(event)))
    opening.set()
    assert [told.get(timeout=60).answer for _ in range(4)] == [answer] * 4
    worker.end()
    assert order == [0, 1, 2, 0, 1, 2, 1, 2, 1, 2, 3, 1, 2, 3]


def test_lanes_go_on_beside_each_other() -> None:
    """Each step waits for one of the other lane; the third job begins where the first two are half done."""
    together, answer = threading.Barrier(2), cast("Answer", object())

    def steps(count: int) -> Generator[str, None, Answer]:
        for _ in range(count):
            together.wait(timeout=60)
            yield ""
        return answer

    told: SimpleQueue[Any] = SimpleQueue()
    worker = Worker(lambda: cast("Any", Nothing(lanes=2)), queue=2, at_once=2)
    for count in (4, 2, 2):
        worker.submit(Job(lambda _, count=count: AnswerStream(steps(count)), lambda event: not told.put(event)))
    assert [told.get(timeout=60).answer for _ in range(3)] == [answer] * 3
    worker.end()


def test_an_error_that_nobody_expects_ends_all_lanes() -> None:
    """It comes from telling, which must not raise."""

    def tell(_: object) -> bool:
        raise KeyError("nobody is there")

    worker = Worker(lambda: cast("Any", Nothing(lanes=3)), queue=0, at_once=3)
    worker.submit(Job(lambda _: AnswerStream(iter(["text"])), tell))  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="nobody"):
        worker.ended.result(timeout=60)
    with pytest.raises(ModelError, match="closed"):
        worker.submit(Job(lambda _: AnswerStream(iter([])), tell))  # type: ignore[arg-type]


@pytest.mark.parametrize("lanes", [1, 2])
def test_places_and_queue_are_limits(bundle: Bundle, lanes: int) -> None:
    async def test() -> None:
        async with several(bundle, 2, queue=1, threads=lanes) as assistant:
            streams = [assistant.stream(picture(), QUESTION, schema=LONG, max_tokens=3000) for _ in range(3)]
            for stream in streams[:2]:
                await anext(stream)
            assert assistant.waiting == 1
            with pytest.raises(BusyError, match=r"^3 questions"):
                assistant.stream(picture(), QUESTION)
            await streams[0].aclose()
            assert await anext(streams[2])
            for stream in streams:
                await stream.aclose()

    run(test())


def test_what_ends_one_answer_leaves_the_others(bundle: Bundle) -> None:
    async def test() -> None:
        async with several(bundle, 4) as assistant:
            expected = (await assistant.ask(picture(), QUESTION, max_tokens=40)).text
            asking = asyncio.ensure_future(assistant.ask(picture(), QUESTION, max_tokens=40))
            left = assistant.stream(picture(2), QUESTION, schema=LONG, max_tokens=3000)
            with pytest.raises(ImageError):
                await assistant.ask(b"no image", QUESTION)
            await anext(left)
            await left.aclose()
            assert (await asking).text == expected

    run(test())


@pytest.mark.parametrize("lanes", [1, 2])
def test_closing_ends_all_answers(bundle: Bundle, lanes: int) -> None:
    async def test() -> None:
        assistant = several(bundle, 2, threads=lanes)
        streams = [assistant.stream(picture(), QUESTION, schema=LONG, max_tokens=3000) for _ in range(3)]
        for stream in streams[:2]:
            await anext(stream)
        await assistant.close()
        for stream in streams:
            with pytest.raises(ModelError, match="has been closed"):
                [piece async for piece in stream]

    run(test())


@pytest.mark.parametrize("at_once", [0, 17, 1.5, "many"])
def test_a_number_of_places_is_checked(bundle: Bundle, at_once: Any) -> None:
    openings: list[Callable[[], Any]] = [
        lambda: AsyncAssistant(bundle, at_once=at_once),
        lambda: Assistant(bundle, at_once=at_once),
    ]
    for opening in openings:
        with pytest.raises(OptionError, match="at_once"):
            opening()


def test_streams_of_an_assistant_take_turns_and_one_too_many_ends_the_oldest(bundle: Bundle) -> None:
    with Assistant(bundle, threads=1, at_once=2) as assistant, assistant.session() as session:
        expected = [assistant.ask(picture(seed), QUESTION, max_tokens=6).text for seed in range(2)]
        streams = [assistant.stream(picture(seed), QUESTION, max_tokens=6) for seed in range(2)]
        pieces = [next(stream) + next(stream) for stream in streams]
        texts = [begun + "".join(stream) for begun, stream in zip(pieces, streams, strict=True)]
        assert [text.strip() for text in texts] == expected
        streams = [assistant.stream(picture(seed), QUESTION, max_tokens=6) for seed in range(3)]
        for stream in streams:
            next(stream)
        with pytest.raises(AnswerError, match="another question"):
            next(streams[0])
        assert "".join(streams[1])
        assert session.ask(picture(0), QUESTION, max_tokens=6).text == expected[0]


def test_a_budget_is_kept_beside_other_answers(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, bundle: Bundle) -> None:
    """The machine is measured in the place of the answer that asks for it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    async def test() -> None:
        async with several(bundle, 2) as assistant:
            expected = (await assistant.ask(picture(1), QUESTION, max_tokens=30)).text
            beside = asyncio.ensure_future(assistant.ask(picture(1), QUESTION, max_tokens=30))
            answer = await assistant.ask(picture(), QUESTION, max_tokens=3, budget_ms=60_000)
            assert answer.plan is not None
            assert (await beside).text == expected

    run(test())
