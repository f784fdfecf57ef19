"""Whole conversations that are sent again with every question, as to a server: read from where they go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.conversations.retold import LONG_QUESTION, Told, first_logits
from support.images.squares import picture

from uhd_edge.runtime import Assistant, Bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image


@pytest.fixture(scope="module", params=["plain", "hybrid", "canvas"])
def kind(request: pytest.FixtureRequest) -> Bundle:
    found: Bundle = request.getfixturevalue("bundle" if request.param == "plain" else f"{request.param}_bundle")
    return found


@pytest.fixture(scope="module")
def anew(kind: Bundle) -> Iterator[Assistant]:
    """Reads every conversation from its beginning."""
    with Assistant(kind, threads=1) as assistant:
        yield assistant


def ask_again(
    assistant: Assistant, anew: Assistant, told: Told, question: str, *new: Image.Image, at_first_place: bool = True
) -> int:
    """Send the whole conversation to both, whose logits must be the same; returns how many tokens were in memory."""
    images, messages = [*told.images, *new], told.asked(question, list(new))
    expected, text, _ = first_logits(anew, anew.steps(images, messages, max_tokens=6))
    if at_first_place:
        logits, said, answer = first_logits(assistant, assistant.steps(images, messages, max_tokens=6))
        np.testing.assert_allclose(logits, expected, atol=0 if is_plain(anew) else 1e-3)
    else:
        steps = assistant.steps(images, messages, max_tokens=6)
        said, answer = "".join(steps), steps.answer
    assert said == text
    told.note(question, list(new), answer.text, answer.thinking)
    return int(answer.usage.cached_tokens)


def is_plain(assistant: Assistant) -> bool:
    return assistant.bundle.manifest.llm.architecture == "qwen3"


def test_a_conversation_that_is_sent_again_goes_on_from_what_was_read(kind: Bundle, anew: Assistant) -> None:
    with Assistant(kind, threads=1, keep_prompts=True) as assistant:
        told = Told([])
        assert ask_again(assistant, anew, told, LONG_QUESTION, picture(1), picture(2, (90, 60))) == 0
        first = ask_again(assistant, anew, told, "And beside it?")
        assert first > 64
        assert ask_again(assistant, anew, told, LONG_QUESTION, picture(3)) >= first
        other = Told([])
        assert ask_again(assistant, anew, other, LONG_QUESTION, picture(4), picture(2, (90, 60))) == 0
        assert ask_again(assistant, anew, told, "Sure?") == 0  # the other one had taken the only place


def test_another_picture_in_the_same_place_is_another_conversation(kind: Bundle, anew: Assistant) -> None:
    with Assistant(kind, threads=1, keep_prompts=True) as assistant:
        for seed in range(3):
            assert ask_again(assistant, anew, Told([]), LONG_QUESTION, picture(seed)) == 0
        assert ask_again(assistant, anew, Told([]), LONG_QUESTION, picture(2)) > 0


def test_conversations_in_turns_each_come_back_to_their_place(kind: Bundle, anew: Assistant) -> None:
    with Assistant(kind, threads=1, at_once=3, keep_prompts=True) as assistant:
        both = [Told([]), Told([])]
        for turn in range(3):
            for number, told in enumerate(both):
                new = [picture(number)] if turn == 0 else []
                question = f"{number}. {LONG_QUESTION}"
                assert (ask_again(assistant, anew, told, question, *new, at_first_place=False) > 64) == (turn > 0)


def test_a_session_beside_them_stays_as_it_is(kind: Bundle, anew: Assistant) -> None:
    with Assistant(kind, threads=1, keep_prompts=True) as assistant:
        session, told = assistant.session(picture()), Told([])
        texts = []
        for question in (LONG_QUESTION, "And beside it?", "Sure?"):
            texts.append(session.ask(question, max_tokens=6).text)
            ask_again(assistant, anew, told, question, *([picture(7)] if question == LONG_QUESTION else []))
        with anew.session(picture()) as expected:
            assert texts == [
                expected.ask(question, max_tokens=6).text for question in (LONG_QUESTION, "And beside it?", "Sure?")
            ]


def test_a_question_left_while_its_prompt_is_read_leaves_no_trace(kind: Bundle, anew: Assistant) -> None:
    with Assistant(kind, threads=1, keep_prompts=True) as assistant:
        told = Told([])
        ask_again(assistant, anew, told, LONG_QUESTION, picture(1))
        steps = assistant.steps(told.images, told.asked(LONG_QUESTION * 2, []), max_tokens=6)
        for _ in range(4):
            next(steps)
        steps.close()
        ask_again(assistant, anew, told, "And beside it?")
        ask_again(assistant, anew, told, "Sure?")
