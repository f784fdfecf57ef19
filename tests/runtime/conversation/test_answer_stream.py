"""The stream of an answer: its pieces, the answer after its end, and ending it early."""

from __future__ import annotations

import pytest
from support.images.squares import picture

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.errors import AnswerError

QUESTION = "What is it?"


def test_the_answer_of_a_stream_is_that_of_asking(assistant: Assistant) -> None:
    stream = assistant.stream(picture(), QUESTION, max_tokens=9)
    text = "".join(stream)
    expected = assistant.ask(picture(), QUESTION, max_tokens=9)
    assert (stream.answer.text, stream.answer.usage) == (expected.text, expected.usage)
    assert text.strip() == expected.text
    assert next(stream, None) is None
    assert stream.answer.text == expected.text


def test_there_is_no_answer_before_the_end_and_none_after_closing(assistant: Assistant) -> None:
    with assistant.stream(picture(), QUESTION, max_tokens=9) as stream:
        next(stream)
        with pytest.raises(AnswerError, match="not been read to its end"):
            _ = stream.answer
    assert list(stream) == []
    with pytest.raises(AnswerError, match="not been read to its end"):
        _ = stream.answer
    stream.close()


def test_a_session_goes_on_from_a_stream_that_was_read_and_not_from_one_that_was_closed(assistant: Assistant) -> None:
    with assistant.session(picture()) as session:
        with session.stream(QUESTION, max_tokens=9) as stream:
            next(stream)
        assert session.history == ()
        answer = session.stream(QUESTION, max_tokens=9).finish()
        assert session.history == ((QUESTION, answer.text),)


def test_only_the_steps_of_an_answer_have_empty_pieces(assistant: Assistant) -> None:
    steps = assistant.steps([picture(0), picture(1)], QUESTION, max_tokens=5)
    pieces = list(steps)
    assert pieces[:3] == ["", "", ""]  # decoded, and each image encoded
    assert [piece for piece in pieces if piece] == list(
        assistant.stream([picture(0), picture(1)], QUESTION, max_tokens=5)
    )
    assert steps.answer.usage.completion_tokens <= 5
