"""The whole way on a bundle of copying graphs and a random language model; answers are compared in tests/parity."""

from __future__ import annotations

import io
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.images.squares import picture

from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime.errors import (
    ContextError,
    ImageError,
    OptionError,
    PromptError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUESTION = "What is it?"


def test_a_stream_is_the_answer_in_pieces(assistant: Assistant) -> None:
    pieces = list(assistant.stream(picture(), QUESTION, max_tokens=20))
    assert len(pieces) > 1
    assert "".join(pieces).strip() == assistant.ask(picture(), QUESTION, max_tokens=20).text


def test_an_answer_can_be_ended_after_every_step(assistant: Assistant) -> None:
    whole = assistant.ask([picture(0), picture(1)], QUESTION, max_tokens=8)

    def returned() -> Iterator[str]:
        answer = yield from assistant.steps([picture(0), picture(1)], QUESTION, max_tokens=8)
        assert answer.text == whole.text

    pieces = list(returned())
    assert "".join(pieces).strip() == whole.text
    assert pieces[:3] == [""] * 3  # decoding, and one for each image
    assert whole.usage.completion_tokens <= len(pieces) - 3 <= whole.usage.completion_tokens + 1
    for count in range(len(pieces)):
        with closing(assistant.steps([picture(0), picture(1)], QUESTION, max_tokens=8)) as steps:
            assert [next(steps) for _ in range(count)] == pieces[:count]
        assert assistant.ask([picture(0), picture(1)], QUESTION, max_tokens=8).text == whole.text


def test_an_image_may_come_in_any_form(assistant: Assistant, tmp_path: Path) -> None:
    image = picture()
    file = tmp_path / "image.png"
    image.save(file)
    data = io.BytesIO()
    image.save(data, "PNG")
    content = data.getvalue()
    forms: list[Any] = [image, file, str(file), content, np.asarray(image), [file], (image,)]
    forms += [bytearray(content), memoryview(content), next(os.scandir(tmp_path)), memoryview(content * 2)[::1]]
    answers = {assistant.ask(form, QUESTION, max_tokens=8).text for form in forms}
    assert len(answers) == 1


@pytest.mark.parametrize(
    "wrong", [5, 1.5, {}, {"a": 1}, iter(()), object(), [None], ["none.png"], b"", bytearray(b"no")]
)
def test_what_is_no_image_is_one_error(assistant: Assistant, wrong: Any) -> None:
    with pytest.raises(ImageError):
        assistant.ask(wrong, QUESTION)


def test_numpys_numbers_are_numbers(bundle: Bundle) -> None:
    settings: dict[str, Any] = {"temperature": np.float32(1.5), "top_p": np.float64(0.9), "min_p": np.float16(0)}
    settings |= {"top_k": np.int32(20), "seed": np.uint8(3), "max_tokens": np.int64(5), "max_slices": np.int16(2)}
    made: dict[str, Any] = {"threads": np.int64(1), "context": np.int32(512), "gpu_layers": np.int8(0)}
    with Assistant(bundle, **made) as assistant:
        plain = {name: value.item() for name, value in settings.items()}
        answers = [assistant.ask(picture(), QUESTION, **values) for values in (settings, plain)]
    assert answers[0].text == answers[1].text
    assert answers[0].usage == answers[1].usage


def test_no_image_and_several_images(assistant: Assistant) -> None:
    none, empty = (assistant.ask(images, QUESTION, max_tokens=3) for images in (None, []))
    assert none.usage.vision_tokens == 0
    assert none.views == ()
    assert none.text == empty.text
    one = assistant.ask(picture(0), QUESTION, max_tokens=3)
    two = assistant.ask([picture(0), picture(1, (90, 60))], QUESTION, max_tokens=3)
    assert two.views[: len(one.views)] == one.views
    assert two.usage.vision_tokens > one.usage.vision_tokens


def test_mode_and_slices_are_chosen_per_question(bundle: Bundle) -> None:
    with Assistant(bundle, mode="4x", max_slices=2, threads=1) as assistant:
        own = assistant.ask(picture(), QUESTION, max_tokens=1)
        assert (own.mode, len(own.views)) == ("4x", 3)
        other = assistant.ask(picture(), QUESTION, max_tokens=1, mode="16x", max_slices=1)
        assert (other.mode, len(other.views)) == ("16x", 1)
        assert assistant.ask(picture(), QUESTION, max_tokens=1).views == own.views


def test_every_question_starts_anew(assistant: Assistant) -> None:
    first = assistant.ask(picture(0), QUESTION, max_tokens=10)
    assistant.ask(picture(1), "Something else?", max_tokens=10, temperature=2.0, seed=3)
    assert assistant.ask(picture(0), QUESTION, max_tokens=10).text == first.text


def test_the_same_seed_gives_the_same_text(assistant: Assistant) -> None:
    texts = [assistant.ask(None, QUESTION, max_tokens=20, temperature=1.5, seed=seed).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"max_tokens": 0}, OptionError),
        ({"max_tokens": 1.5}, OptionError),
        ({"temperature": -1}, OptionError),
        ({"top_p": 2.0}, OptionError),
        ({"seed": -1}, OptionError),
        ({"mode": "8x"}, OptionError),
        ({"max_slices": 0}, OptionError),
    ],
)
def test_a_setting_without_sense_is_refused_at_once(
    assistant: Assistant, setting: dict[str, Any], error: type[Exception]
) -> None:
    (name,) = setting
    with pytest.raises(error, match=rf"^{name} is "):
        assistant.ask(None, QUESTION, **setting)
    with pytest.raises(error, match=rf"^{name} is "):
        assistant.stream(None, QUESTION, **setting)


@pytest.mark.parametrize("question", ["", " \n", "What is <|image_pad|>?", "\udcff", 5])
def test_a_question_that_is_none_is_refused(assistant: Assistant, question: Any) -> None:
    with pytest.raises(PromptError):
        assistant.ask(None, question)


def test_an_assistant_outlives_its_errors(assistant: Assistant, tmp_path: Path) -> None:
    expected = assistant.ask(picture(), QUESTION, max_tokens=5).text
    with pytest.raises(ImageError):
        assistant.ask(tmp_path / "none.png", QUESTION)
    with pytest.raises(ContextError):
        assistant.ask(None, "What? " * 1000)
    assert assistant.ask(picture(), QUESTION, max_tokens=5).text == expected
