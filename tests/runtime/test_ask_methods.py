"""One order of arguments for everything that asks, and one list of settings that `help` tells."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pytest

from uhd_edge import AskOptions, Assistant, AsyncAssistant, Session
from uhd_edge.runtime.ask_methods import ask_method
from uhd_edge.runtime.errors import ImageError, PromptError
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.options import DEFAULTS, parse_request
from uhd_edge.runtime.watch import watch

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = np.zeros((2, 2, 3), np.uint8)

ASKING: list[Callable[..., Any]] = [
    Assistant.ask,
    Assistant.stream,
    Assistant.steps,
    Assistant.plans,
    AsyncAssistant.ask,
    AsyncAssistant.stream,
    Session.ask,
    Session.stream,
    Session.steps,
]
WATCHING: list[Callable[..., Any]] = [AsyncAssistant.watch, watch]


class Recorder:
    """Returns what it is asked."""

    @ask_method
    def ask(self, images: Any, question: Any, options: AskOptions) -> Any:
        """Return what was asked."""
        return images, question, options


@pytest.mark.parametrize(
    ("arguments", "keywords", "expected"),
    [
        (("What?",), {}, (None, "What?")),
        (("photo.png", "What?"), {}, ("photo.png", "What?")),
        ((None, "What?"), {}, (None, "What?")),
        ((IMAGE,), {"question": "What?"}, (IMAGE, "What?")),
        (("What?",), {"images": IMAGE}, (IMAGE, "What?")),
        ((), {"images": IMAGE, "question": "What?"}, (IMAGE, "What?")),
        ((), {"question": "What?"}, (None, "What?")),
    ],
)
def test_images_come_before_the_question_and_one_argument_is_the_question(
    arguments: tuple[Any, ...], keywords: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    images, question, options = Recorder().ask(*arguments, **keywords, seed=3)
    assert images is expected[0]
    assert question == expected[1]
    assert options == {"seed": 3}


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((), {}, "ask() is missing its question; call ask(question) or ask(images, question)"),
        ((), {"images": IMAGE}, "ask() is missing its question"),
        ((IMAGE, "What?"), {"question": "What?"}, "ask() got multiple values for argument 'question'"),
        ((IMAGE, "What?"), {"images": IMAGE}, "ask() got multiple values for argument 'images'"),
        ((IMAGE, "What?", 5), {}, "ask() takes images and a question, but 3 positional arguments were given"),
    ],
)
def test_a_question_that_is_missing_or_given_twice_is_a_type_error(
    arguments: tuple[Any, ...], keywords: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        Recorder().ask(*arguments, **keywords)


def test_a_question_before_the_images_is_told_the_order() -> None:
    wrong: Any = IMAGE
    with pytest.raises(
        PromptError, match=r"the question is ndarray; .* images come before it: ask\(images, question\)"
    ):
        Recorder().ask("What?", wrong)


def test_images_after_the_question_in_a_list_are_told_the_order() -> None:
    wrong: Any = ["examples/bench.png"]
    with pytest.raises(
        PromptError, match=r"a list of images; images come before the question: ask\(images, question\)"
    ):
        Recorder().ask("What?", wrong)


def test_a_file_without_a_question_is_not_taken_for_one(tmp_path: Path) -> None:
    picture = tmp_path / "photo.jpg"
    assert Recorder().ask(str(picture)) is not None  # no such file: a question like any other
    picture.touch()
    with pytest.raises(
        PromptError, match=r"photo\.jpg is a file and no question was asked; call ask\(images, question\)"
    ):
        Recorder().ask(str(picture))


@pytest.mark.parametrize("question", ["What is on the table?", "Describe the image.", "Is it open"])
def test_a_question_where_an_image_should_be_is_told_the_order(question: str) -> None:
    with pytest.raises(ImageError, match=r"no such file; .* if it is the question, the images come before it$"):
        load_image(question)


@pytest.mark.parametrize("path", ["none.png", "photos of us/none.png", "my photo.jpeg"])
def test_a_path_that_looks_like_one_is_not_taken_for_a_question(path: str) -> None:
    with pytest.raises(ImageError, match=r"no such file; check the path$"):
        load_image(path)


@pytest.mark.parametrize("method", [*ASKING, *WATCHING], ids=lambda one: one.__qualname__)
def test_help_tells_every_setting_with_its_default(method: Callable[..., Any]) -> None:
    parameters = inspect.signature(method).parameters
    settings = {name: one.default for name, one in parameters.items() if name in DEFAULTS}
    assert settings == DEFAULTS
    assert not any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    entries = re.findall(r"^    (\w+): ", inspect.getdoc(method) or "", flags=re.MULTILINE)
    own = [] if method in WATCHING else ["images", "question"]
    assert entries == [*own, *AskOptions.__annotations__]


@pytest.mark.parametrize("method", ASKING, ids=lambda one: one.__qualname__)
def test_help_tells_that_a_question_is_required_and_images_are_not(method: Callable[..., Any]) -> None:
    shown = str(inspect.signature(method))
    assert re.match(r"\(self, images: 'ImagesInput' = None, question: '\w+' = <required>, \*, max_tokens: ", shown)


@pytest.mark.parametrize("method", [Assistant.ask, Session.stream], ids=lambda one: one.__qualname__)
def test_a_stand_in_made_from_the_signature_is_called_the_same_way(method: Callable[..., Any]) -> None:
    pretended = mock.create_autospec(method)
    for arguments in (("What?",), (IMAGE, "What?")):
        pretended(object(), *arguments, seed=1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sed'"):
        pretended(object(), "What?", sed=1)


def test_what_must_be_awaited_is_known_to_be_so() -> None:
    assert inspect.iscoroutinefunction(AsyncAssistant.ask)
    assert not inspect.iscoroutinefunction(Assistant.ask)


def test_the_settings_are_those_of_the_type() -> None:
    assert list(DEFAULTS) == list(AskOptions.__annotations__)


def test_the_defaults_that_help_tells_are_those_in_use() -> None:
    def request(options: AskOptions) -> Any:
        return parse_request(None, "What?", options, mode="16x", modes=("16x",), max_slices=None)

    assert request({}) == request(DEFAULTS)
    assert request({}).max_tokens == DEFAULTS["max_tokens"]
