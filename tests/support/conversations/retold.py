"""Compares a conversation in a session with the same conversation, read as a whole by another assistant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.prompt.messages import ImagePart, Message, TextPart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from uhd_edge.runtime.session import Session

LONG_QUESTION = "Tell me about everything that is to be seen there, one after the other. " * 4


class Told:
    """The expected conversation: its messages and its images."""

    def __init__(self, images: list[Image.Image]) -> None:
        self.images, self.waiting = list(images), len(images)
        self.messages: list[Message] = []

    def copy(self) -> Told:
        other = Told(self.images)
        other.waiting, other.messages = self.waiting, list(self.messages)
        return other

    def asked(self, question: str, new: list[Image.Image]) -> list[Message]:
        parts = [*[ImagePart()] * (self.waiting + len(new)), TextPart(question)]
        return [*self.messages, Message("user", tuple(parts))]

    def note(self, question: str, new: list[Image.Image], answer: str, thinking: str = "") -> None:
        said = Message("assistant", (TextPart(answer),), thinking)
        self.messages = [*self.asked(question, new), said]
        self.images, self.waiting = [*self.images, *new], 0


def first_logits(assistant: Assistant, steps: Any) -> tuple[NDArray[np.float32], str, Any]:
    """The logits after the prompt, the text of the answer, and the answer."""
    model, text = assistant._model, ""
    generate, logits = model.generate, []

    def noting(*arguments: Any, **options: Any) -> Any:
        logits.append(model.logits())
        return generate(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "generate", noting)
        while True:
            try:
                text += next(steps)
            except StopIteration as end:
                return logits[0], text, end.value


def ask_both(
    assistant: Assistant,
    session: Session,
    told: Told,
    fresh: Assistant,
    question: str,
    *new: Image.Image,
    **options: Any,
) -> Any:
    """Ask in the session, and ask `fresh` with the whole conversation: logits and text must be the same."""
    options = {"max_tokens": 6} | options
    steps = session.steps(question, images=list(new), **options)
    logits, text, answer = first_logits(assistant, steps)
    images = [*told.images, *new]
    expected = first_logits(fresh, fresh.steps(images, told.asked(question, list(new)), **options))
    if fresh.bundle.manifest.llm.architecture == "qwen3":
        assert np.array_equal(logits, expected[0])
    else:
        np.testing.assert_allclose(logits, expected[0], atol=1e-3)
    assert text == expected[1]
    assert answer.usage.prompt_tokens == expected[2].usage.prompt_tokens
    assert answer.usage.vision_tokens == expected[2].usage.vision_tokens
    assert answer.views == expected[2].views
    told.note(question, list(new), answer.text, answer.thinking)
    return answer
