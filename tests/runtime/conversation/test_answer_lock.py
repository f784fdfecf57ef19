"""Who has a place: a new question ends the oldest answer, threads wait for each other, and lanes do not."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import pytest
from support.images.squares import picture

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.conversation.answer_lock import AnswerLock
from uhd_edge.runtime.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from uhd_edge.runtime.answer import Answer

QUESTION = "What is it?"


def test_a_stream_may_be_left_early(assistant: Assistant) -> None:
    expected = assistant.ask(picture(), QUESTION, max_tokens=20).text
    pieces = assistant.stream(picture(), QUESTION, max_tokens=20)
    next(pieces)
    pieces.close()
    assert assistant.ask(picture(), QUESTION, max_tokens=20).text == expected


def test_a_new_question_ends_a_stream_that_is_still_open(assistant: Assistant) -> None:
    expected = assistant.ask(None, QUESTION, max_tokens=20).text
    pieces = assistant.stream(None, "And that?", max_tokens=20)
    next(pieces)
    assert assistant.ask(None, QUESTION, max_tokens=20).text == expected
    with pytest.raises(AnswerError, match="another question was asked"):
        next(pieces)


def test_questions_from_several_threads_do_not_mix(assistant: Assistant) -> None:
    questions = [f"Question {number}?" for number in range(6)]
    expected = [assistant.ask(None, question, max_tokens=12).text for question in questions]
    found: dict[int, str] = {}

    def ask(number: int) -> None:
        found[number] = assistant.ask(None, questions[number], max_tokens=12).text

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(6)] == expected


def begin(place: int) -> Generator[str, None, Answer]:
    """An answer whose only piece says its place."""
    yield str(place)
    return cast("Answer", place)


def in_a_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def test_a_thread_keeps_to_its_lane_while_there_is_room_and_another_thread_takes_another_lane() -> None:
    lock = AnswerLock([0, 1, 0, 1, 0])
    streams = [lock.take_turns(begin, lambda: None) for _ in range(6)]
    unused = iter(streams)

    def start(count: int) -> list[str]:
        return [next(next(unused)) for _ in range(count)]

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two, ThreadPoolExecutor(1) as three:
        assert one.submit(start, 2).result() == ["4", "2"]
        assert two.submit(start, 1).result() == ["3"]
        assert three.submit(start, 3).result() == ["1", "0", "4"]  # those that are left, and then the oldest


def test_a_step_in_one_lane_does_not_wait_for_one_in_another() -> None:
    lock, done = AnswerLock([0, 1]), list[str]()

    def meanwhile(place: int) -> Generator[str, None, Answer]:
        in_a_thread(lambda: done.extend(lock.take_turns(begin, lambda: None)))
        return (yield from begin(place))

    done.extend(lock.take_turns(meanwhile, lambda: None))
    assert done == ["0", "1"]
