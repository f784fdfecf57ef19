"""Several answers to one question, each the one that its seed gives alone."""

from __future__ import annotations

import pytest
from support.places import EXAMPLES

from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime.errors import OptionError

WILD = {"temperature": 1.5, "max_tokens": 12}


def test_every_answer_is_that_of_its_seed_alone(trained: Bundle) -> None:
    photo = EXAMPLES / "sliced.jpg"
    with Assistant(trained, threads=1) as assistant:
        several = assistant.ask(photo, "What is this?", answers=4, seed=5, logprobs=0, **WILD)  # type: ignore[arg-type]
        alone = [
            assistant.ask(photo, "What is this?", seed=seed, logprobs=0, **WILD)  # type: ignore[arg-type]
            for seed in range(5, 9)
        ]
    found = [several, *several.alternatives]
    assert [one.text for one in found] == [one.text for one in alone]
    assert [one.logprobs for one in found] == [one.logprobs for one in alone]
    assert [one.usage for one in found] == [one.usage for one in alone]
    assert len({one.text for one in found}) > 1


def test_a_session_goes_on_from_the_first_of_several(trained: Bundle) -> None:
    with Assistant(trained, threads=1) as assistant:
        with assistant.session() as session:
            session.ask("One?", answers=3, **WILD)  # type: ignore[arg-type]
            second = session.ask("Two?", max_tokens=8)
        with assistant.session() as session:
            session.ask("One?", **WILD)  # type: ignore[arg-type]
            expected = session.ask("Two?", max_tokens=8)
    assert (second.text, second.usage.prompt_tokens) == (expected.text, expected.usage.prompt_tokens)


def test_a_stream_has_the_pieces_of_the_first() -> None:
    with Assistant(threads=1) as assistant:
        stream = assistant.stream("Describe the scene.", answers=2, temperature=1.0, max_tokens=9)
        text = "".join(stream)
    assert text.strip() == stream.answer.text
    assert len(stream.answer.alternatives) == 1
    assert len(stream.answer.to_dict()["alternatives"]) == 1


def test_the_likeliest_answer_is_always_the_same() -> None:
    with Assistant(threads=1) as assistant:
        answer = assistant.ask("Describe the scene.", answers=3, max_tokens=5)
    assert [other.text for other in answer.alternatives] == [answer.text] * 2


@pytest.mark.parametrize("number", [0, 9, 1.5, True])
def test_a_number_of_answers_without_sense_is_refused(number: object) -> None:
    with Assistant(threads=1) as assistant, pytest.raises(OptionError, match="answers"):
        assistant.ask("What?", answers=number)  # type: ignore[arg-type]
