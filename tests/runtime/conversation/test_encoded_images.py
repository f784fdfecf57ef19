"""An image that was encoded before stands in an image's place, and is not encoded again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.images.squares import picture

from uhd_edge import Assistant, Bundle, Encoded
from uhd_edge.runtime.budget.costs import CostModel
from uhd_edge.runtime.errors import ContextError, ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUESTION = "What is it?"


@pytest.fixture
def encoded(assistant: Assistant) -> Encoded:
    return assistant.encoder.encode(picture())


def test_an_encoded_image_is_answered_about_as_the_image_itself(assistant: Assistant, encoded: Encoded) -> None:
    assert len(encoded.views) > 2
    for images, same in ((encoded, picture()), ([picture(1), encoded], [picture(1), picture()])):
        answer, expected = (assistant.ask(given, QUESTION, max_tokens=8) for given in (images, same))
        assert (answer.text, answer.views) == (expected.text, expected.views)
        assert answer.usage == expected.usage


def test_it_is_not_encoded_again(assistant: Assistant, encoded: Encoded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assistant.encoder, "encode_planned", lambda *_, **__: pytest.fail("encoded an image again"))
    answer = assistant.ask(encoded, QUESTION, max_tokens=2, max_slices=1)
    assert answer.reused_views == len(answer.views) == len(encoded.views)
    assert answer.timings_ms["encoder"] == 0


def test_a_session_keeps_it_whatever_happens_to_it_afterwards(assistant: Assistant, encoded: Encoded) -> None:
    expected = [assistant.session(picture()).ask(QUESTION, max_tokens=8).text]
    session = assistant.session(encoded)
    encoded.embeddings[:] = 0
    assert [session.ask(QUESTION, max_tokens=8).text] == expected


def test_an_encoded_image_can_come_with_a_later_question(trained: Bundle) -> None:
    with Assistant(trained, threads=1) as assistant:
        answers = []
        for image in (assistant.encoder.encode(picture(2)), picture(2)):
            session = assistant.session(picture())
            session.ask(QUESTION, max_tokens=4)
            answers.append(session.ask(image, "And this?", max_tokens=6))
        assert answers[0].text == answers[1].text
        assert answers[0].usage == answers[1].usage


def test_another_mode_is_refused_with_what_to_do(assistant: Assistant, encoded: Encoded) -> None:
    told = r'encoded in mode 16x, but the question is asked in 4x; .* mode="16x", or give it as \(image, "16x"\)$'
    with pytest.raises(ImageError, match=told):
        assistant.ask(encoded, QUESTION, mode="4x")
    other = assistant.encoder.encode(picture(), mode="4x")
    assert assistant.ask(other, QUESTION, mode="4x", max_tokens=1).mode == "4x"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda one: {"embeddings": one.embeddings[:, :-1]},
            r"embeddings of shape .* takes \[n, \d+\]",
        ),
        (lambda one: {"embeddings": one.embeddings[0]}, r"embeddings of shape \[\d+\], but"),
        (lambda one: {"embeddings": one.embeddings[:-1]}, "does not fit its own views"),
        (lambda one: {"views": one.views[:-1]}, "does not fit its own views"),
        (lambda _: {"views": ()}, "does not fit its own views"),
        (lambda _: {"grid": (1, 1)}, "does not fit its own views"),
        (lambda one: {"embeddings": np.full_like(one.embeddings, np.nan)}, "NaN or infinite; encode it again"),
    ],
)
def test_what_cannot_be_of_this_bundle_is_refused(
    assistant: Assistant, encoded: Encoded, change: Callable[[Encoded], dict[str, Any]], message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        assistant.ask(replace(encoded, **change(encoded)), QUESTION)


def test_a_budget_chooses_the_mode_that_it_was_encoded_in(trained: Bundle) -> None:
    with Assistant(trained, threads=1) as assistant:
        for mode in trained.manifest.graphs:
            encoded = assistant.encoder.encode(picture(), mode=mode)
            plans = assistant.plans(encoded, QUESTION)
            assert [(plan.mode, plan.views) for plan in plans] == [(mode, len(encoded.views))]
            assert assistant.ask(encoded, QUESTION, budget_ms=60_000, max_tokens=1).mode == mode


def test_no_time_is_planned_for_encoding_it(trained: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: set[tuple[int, int]] = set()
    looking = CostModel.looking

    def noted(costs: CostModel, size: tuple[int, int], views: Sequence[tuple[int, int]]) -> float:
        planned.add(size)
        return looking(costs, size, views)

    with Assistant(trained, threads=1) as assistant:
        encoded = assistant.encoder.encode(picture(), mode="16x")
        assistant.measure()
        monkeypatch.setattr(CostModel, "looking", noted)
        assistant.plans([encoded, picture(1, (90, 60))], QUESTION, mode="16x")
    assert planned == {(90, 60)}


def test_fewer_slices_are_not_advised_for_it(bundle: Bundle) -> None:
    with Assistant(bundle, threads=1, context=40) as assistant:
        encoded = assistant.encoder.encode(picture(0, (900, 700)))
        with pytest.raises(ContextError) as caught:
            assistant.ask(encoded, QUESTION)
        assert "--max-slices" not in str(caught.value)
