"""Images that come into a conversation: copied when they are given, encoded once, in the mode of their question."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.images.squares import picture

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.errors import ImageError, OptionError

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


@pytest.mark.parametrize("end", ["@9x", "@4X", "@4", "@16x"])
def test_a_path_with_a_mode_behind_it_is_answered_with_the_tuple(assistant: Assistant, end: str) -> None:
    with pytest.raises(ImageError) as caught:
        assistant.ask(f"a.png{end}", QUESTION)
    assert str(caught.value).startswith(f"a.png{end}: no such file; check the path; an image has a mode of its own")
    assert str(caught.value).endswith('as a tuple ("FILE", "4x") in programs')


def test_an_image_and_a_mode_in_a_list_are_answered_with_the_tuple(assistant: Assistant) -> None:
    for images in ([picture(), "4x"], (picture(), "4X")):
        with pytest.raises(ImageError, match=r'^4[xX]: no such file; .* as a tuple \("FILE", "4x"\) in programs$'):
            assistant.ask(images, QUESTION)
    with pytest.raises(OptionError, match=r"is \(image, mode\), with 16x or 4x, and a tuple; .* there is a list of 2$"):
        assistant.ask([[picture(), "4x"]], QUESTION)  # type: ignore[list-item]


def test_a_file_named_like_a_mode_is_a_file(
    assistant: Assistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("4x", "a@9x"):
        picture().save(tmp_path / name, "PNG")
    assert len(assistant.ask(["4x", "a@9x"], QUESTION, max_slices=1, max_tokens=1).views) == 2
