"""Sessions where images are canvases: exact after other questions, in forks, and after one that was left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.conversations.event_loops import run
from support.conversations.retold import LONG_QUESTION, Told, ask_both
from support.images.squares import picture

from uhd_edge.runtime import Assistant, AsyncAssistant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime import Bundle

ASKED: list[dict[str, Any]] = [
    {"images": [picture(1, (300, 200)), picture(2)], "question": "What is it?"},
    {"images": None, "question": "What is it?"},
    {"images": picture(4), "question": "And here?", "temperature": 1.0, "seed": 5, "answers": 2},
]


@pytest.fixture(scope="module")
def fresh(canvas_bundle: Bundle) -> Iterator[Assistant]:
    with Assistant(canvas_bundle, threads=1) as assistant:
        yield assistant


@pytest.mark.parametrize("session_bytes", [0, 2**28])
def test_a_session_and_its_fork_stay_exact_whatever_is_asked_between(
    canvas_bundle: Bundle, fresh: Assistant, session_bytes: int
) -> None:
    with Assistant(canvas_bundle, threads=1, session_bytes=session_bytes) as assistant:
        image = picture(3, (300, 200))
        session, told = assistant.session(image), Told([image])
        ask_both(assistant, session, told, fresh, "What is it?")
        fork, told_there = session.fork(), told.copy()
        ask_both(assistant, session, told, fresh, LONG_QUESTION, picture(1, (80, 60)))
        ask_both(assistant, fork, told_there, fresh, "And beside it?")
        steps = session.steps(LONG_QUESTION * 16, max_tokens=3)
        assert [next(steps), next(steps)] == ["", ""]
        steps.close()  # half read
        ask_both(assistant, fork, told_there, fresh, "Sure?", picture(2))
        ask_both(assistant, session, told, fresh, "Sure?")


def test_answers_at_once_are_those_of_questions_asked_alone(canvas_bundle: Bundle, fresh: Assistant) -> None:
    alone = [fresh.ask(**asked, max_tokens=12) for asked in ASKED]

    async def test() -> None:
        async with AsyncAssistant(canvas_bundle, queue=8, at_once=3, threads=1) as assistant:
            answers = await asyncio.gather(*(assistant.ask(**asked, max_tokens=12) for asked in ASKED))
        for answer, expected in zip(answers, alone, strict=True):
            assert (answer.thinking, answer.text, answer.usage) == (expected.thinking, expected.text, expected.usage)
            assert [one.thinking for one in answer.alternatives] == [one.thinking for one in expected.alternatives]
            assert answer.thinking

    run(test())
