"""A prompt that does not fit into the context: what is told, and that what is advised helps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support.answering_bundle import bundle_of
from support.images.squares import picture

from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime.errors import (
    ContextError,
    ImageError,
)

if TYPE_CHECKING:
    from pathlib import Path

QUESTION = "What is it?"


def test_a_prompt_that_does_not_fit_names_the_slices_that_do(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(0, (900, 700))
    with Assistant(bundle, threads=1, context=84) as assistant:
        with monkeypatch.context() as patch:
            patch.setattr(assistant._encoder, "encode", lambda *_, **__: pytest.fail("encoded an image for nothing"))
            with pytest.raises(ContextError) as caught:
                assistant.ask(image, QUESTION)
        message = str(caught.value)
        tokens_said = re.match(r"the prompt needs (\d+) tokens \((\d+) vision, (\d+) text\)", message)
        assert tokens_said is not None
        total, vision, text = map(int, tokens_said.groups())
        assert total == vision + text
        told = f"but the context of 84 holds 83 beside an answer, {83 - text} of them beside this text; "
        assert told in message
        assert f"or use --context {total + 1} or more" in message
        (slices,) = map(int, re.findall(r"use --max-slices (\d+)", message))
        assert assistant.ask(image, QUESTION, max_slices=slices, max_tokens=1).usage.prompt_tokens == 83
        with pytest.raises(ContextError):
            assistant.ask(image, QUESTION, max_slices=slices + 1)
    with Assistant(bundle, threads=1, context=total + 1) as assistant:
        answer = assistant.ask(image, QUESTION)
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (total, 1)


def test_only_what_helps_is_advised(bundle: Bundle) -> None:
    with Assistant(bundle, threads=1, context=20) as assistant:
        with pytest.raises(ContextError, match=r"beside an answer; use --context \d+ or more$"):
            assistant.ask(picture(), QUESTION)
        for images in ([picture()] * 2, None):  # for which a text that fills the context leaves nothing
            with pytest.raises(
                ContextError, match=r"beside an answer; shorten the question, or use --context \d+ or more$"
            ):
                assistant.ask(images, "What? " * 20)
    with Assistant(bundle, threads=1) as assistant:
        with pytest.raises(ContextError, match=r"all that the model was trained for, .*; shorten the question$"):
            assistant.ask(None, "What? " * 1000)
        with pytest.raises(ContextError, match=r"; use fewer images$"):
            assistant.ask([picture()] * 90, QUESTION, max_slices=1)
        with pytest.raises(ContextError, match=r"; use --max-slices \d, or use --mode 16x$"):
            assistant.ask([picture(0, (900, 700))] * 7, QUESTION, mode="4x")


def test_a_thin_image_is_called_thin_and_not_too_long(tmp_path: Path) -> None:
    wide = bundle_of(tmp_path / "wide", scale_resolution=448)
    with Assistant(wide, threads=1, context=64) as assistant, pytest.raises(ImageError, match="is too thin"):
        assistant.ask(picture(0, (300_000, 1)), QUESTION)
