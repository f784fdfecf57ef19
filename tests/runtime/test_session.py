"""Sessions: their turns, their streams, what is refused, and that they do not mix."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.images.squares import picture

from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime.errors import AnswerError, ImageError, ModelError, OptionError, PromptError
from uhd_edge.runtime.prompt.messages import Message, TextPart

if TYPE_CHECKING:
    from uhd_edge.runtime.session import Session

QUESTION = "What is it?"


def test_a_stream_is_the_answer_and_becomes_a_turn_when_it_was_read(assistant: Assistant) -> None:
    session, same = assistant.session(picture()), assistant.session(picture())
    pieces = list(session.stream(QUESTION, max_tokens=8))
    assert "".join(pieces).strip() == same.ask(QUESTION, max_tokens=8).text == session.history[0][1]
    left = session.stream("And that?", max_tokens=8)
    next(left)
    assert len(session.history) == 1
    assert session.ask("Or this?", max_tokens=4).text == same.ask("Or this?", max_tokens=4).text
    with pytest.raises(AnswerError, match="another question was asked"):
        next(left)


def test_an_answer_that_writes_what_stands_for_an_image_does_not_break_the_next_turn(assistant: Assistant) -> None:
    session = assistant.session(picture())
    answer = session.ask(QUESTION, schema={"const": "<|image_pad|>"}, max_tokens=60)
    assert answer.parsed == "<|image_pad|>"
    assert session.ask("And?", max_tokens=3).usage.vision_tokens == answer.usage.vision_tokens


def test_sessions_in_several_threads_do_not_mix(assistant: Assistant) -> None:
    def talk(session: Session, number: int) -> list[str]:
        return [session.ask(f"Number {number}, {turn}?", max_tokens=5).text for turn in range(3)]

    image = picture()
    expected = [talk(assistant.session(image), number) for number in range(4)]
    sessions = [assistant.session(image) for _ in range(4)]
    found: dict[int, list[str]] = {}
    threads = [
        threading.Thread(target=lambda number=number: found.update({number: talk(sessions[number], number)}))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(4)] == expected


@pytest.mark.parametrize("wrong", [{"mode": "8x"}, {"max_slices": 0}])
def test_a_session_without_sense_is_not_made(assistant: Assistant, wrong: Any) -> None:
    (name,) = wrong
    with pytest.raises(OptionError, match=rf"^{name} is "):
        assistant.session(**wrong)
    with pytest.raises(ImageError):
        assistant.session(b"no image")
    question: Any = [Message("user", (TextPart("What?"),))]
    with pytest.raises(PromptError, match="in a session it must be a string"):
        assistant.session().ask(question)


def test_a_closed_session_says_so(bundle: Bundle) -> None:
    with Assistant(bundle, threads=1) as assistant:
        with assistant.session(picture()) as session:
            fork = session.fork()
            pieces = session.stream(QUESTION)
            next(pieces)
            session.close()
            with pytest.raises(PromptError, match="the session has been closed"):
                next(pieces)
        for use in (lambda: session.ask(QUESTION), lambda: session.stream(QUESTION), session.fork):
            with pytest.raises(PromptError, match="the session has been closed"):
                use()
        assert fork.ask(QUESTION, max_tokens=2).text is not None
    with pytest.raises(ModelError, match="the assistant has been closed"):
        fork.ask(QUESTION)
    fork.close()
