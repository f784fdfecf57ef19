"""A conversation that outgrows the context: refused, or without its oldest turns."""

from __future__ import annotations

import pytest
from support.conversations.retold import Told
from support.images.squares import picture

from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime.errors import ContextError
from uhd_edge.runtime.prompt.messages import Message, TextPart

QUESTION = "What is it?"


def test_a_full_context_is_an_error_that_leaves_the_session_as_it_was(bundle: Bundle) -> None:
    with Assistant(bundle, threads=1, context=220) as assistant:
        session = assistant.session(picture())
        session.ask(QUESTION, max_tokens=3)
        before = session.history
        remedies = r"; start a new session, or let it drop its oldest turns .*, or use --context \d+ or more$"
        with pytest.raises(ContextError, match=remedies):
            session.ask("What? " * 40)
        assert session.history == before
        assert session.ask("Sure?", max_tokens=3).usage.cached_tokens > 0


def test_the_oldest_turns_are_dropped_and_those_with_images_last(bundle: Bundle) -> None:
    with Assistant(bundle, threads=1, context=260) as assistant, Assistant(bundle, threads=1, context=260) as fresh:
        session = assistant.session(picture(), drop_oldest=True)
        questions = [f"Number {number}, what is it?" for number in range(12)]
        dropped = [session.ask(question, max_tokens=4).dropped_turns for question in questions]
        assert dropped[0] == 0
        assert sum(dropped) > 0
        kept = [question for question, _ in session.history]
        assert kept[0] == questions[0]  # it has the image
        assert kept[1:] == questions[-len(kept) + 1 :]
        assert len(kept) == len(questions) - sum(dropped)
        told = Told([])
        told.note(*(session.history[0][0], [picture()], session.history[0][1]))
        for question, answer in session.history[1:]:
            told.note(question, [], answer)
        last = session.ask("What? " * 25, max_tokens=2)
        assert last.dropped_turns >= len(kept) - 1
        asked = [*told.messages[:2], Message("user", (TextPart("What? " * 25),))]
        if last.usage.vision_tokens:
            assert fresh.ask([picture()], asked, max_tokens=2).text == last.text
        gone = session.ask("What? " * 35, max_tokens=2)
        assert gone.usage.vision_tokens == 0
        assert fresh.ask(None, "What? " * 35, max_tokens=2).text == gone.text
        assert len(session.history) == 1
        with pytest.raises(ContextError, match="shorten the question"):
            session.ask("What? " * 60)
