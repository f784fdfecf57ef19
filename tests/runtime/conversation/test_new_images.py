"""Images that come into a conversation: copied when they are given, encoded once, in the mode of their question."""

from __future__ import annotations

import numpy as np
import pytest
from support.images.squares import picture

from uhd_edge.runtime import Assistant

QUESTION = "What is it?"


def test_the_images_of_a_session_are_those_it_was_made_with(assistant: Assistant) -> None:
    image = picture()
    pixels = np.asarray(image).copy()
    session, from_pixels = assistant.session(image), assistant.session(pixels)
    expected = assistant.ask(picture(), QUESTION, max_tokens=8).text
    image.paste((0, 0, 0), (0, 0, *image.size))
    pixels[:] = 0
    assert session.ask(QUESTION, max_tokens=8).text == expected
    assert from_pixels.ask(QUESTION, max_tokens=8).text == expected


def test_mode_and_slices_count_for_new_images(assistant: Assistant) -> None:
    session = assistant.session(picture(), mode="4x", max_slices=2)
    first = session.ask(QUESTION, max_tokens=2)
    assert (first.mode, len(first.views)) == ("4x", 3)
    second = session.ask(QUESTION, images=picture(1), mode="16x", max_slices=1, max_tokens=2)
    assert second.views[:3] == first.views
    assert len(second.views) == 4
    assert session.ask(QUESTION, max_tokens=2).views == second.views


def test_what_failed_is_not_encoded_again(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    session = assistant.session(picture())
    steps = session.steps(QUESTION, max_tokens=3)
    next(steps)
    next(steps)
    steps.close()
    monkeypatch.setattr(assistant.encoder, "encode", lambda *_, **__: pytest.fail("encoded again"))
    assert session.ask(QUESTION, max_tokens=3).usage.vision_tokens == 30
