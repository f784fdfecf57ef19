"""One answer at a time: a new question ends the one before it, and threads wait for each other."""

from __future__ import annotations

import threading

import pytest
from support.images.squares import picture

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.errors import AnswerError

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
