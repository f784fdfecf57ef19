"""The methods that ask a question: one order of arguments and one list of settings for all of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast, overload

from uhd_edge.runtime.errors import PromptError
from uhd_edge.runtime.options import DEFAULTS, AskOptions
from uhd_edge.runtime.prompt.messages import Message, ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Unpack

    from uhd_edge.runtime.conversation.encoded_images import QuestionImage

ImagesInput: TypeAlias = "QuestionImage | Sequence[QuestionImage] | None"
QuestionInput: TypeAlias = "str | Sequence[Message | Mapping[str, Any]]"
SessionQuestion: TypeAlias = "str | Sequence[ToolResult]"

Owner = TypeVar("Owner")
Asked = TypeVar("Asked")  # what a method takes as its question
Asked_contra = TypeVar("Asked_contra", contravariant=True)
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
Function = TypeVar("Function", bound="Callable[..., Any]")


class _Required:
    """Stands in a signature for the default of a question, which follows `images` and has none."""

    def __repr__(self) -> str:
        return "<required>"


_REQUIRED = _Required()

_ARGUMENTS = """\
images: An image, or a list or tuple of several; None for a question without images. An image is
    a path, the bytes of a file, a PIL image, an array [H, W, 3] in RGB or a grey array [H, W].
    A `Video`, or the path of a video, may take its place, and so may an `Encoded` of the same
    bundle and mode. A pair (image, "4x") or (image, "16x") has a mode of its own, so that images
    of both modes stand in one question.
question: A string. Outside of sessions it may be a conversation too, as a list of messages of which
    the last one asks. Each is a `Message`, or a dict as in OpenAI's API. Images have their places
    in it: `ImagePart` and {"type": "image"} stand for the next one of `images`, and
    {"type": "image_url", "image_url": {"url": "data:.."}} brings its own. In a session it may be a
    list of `ToolResult`s, one for each of the calls of the answer before."""


class AskMethod(Protocol[Asked_contra, Result_co]):
    """How a method that asks is called: `ask(question)` or `ask(images, question)`, and either by keyword."""

    @overload
    def __call__(
        self, question: Asked_contra, *, images: ImagesInput = None, **options: Unpack[AskOptions]
    ) -> Result_co: ...

    @overload
    def __call__(self, images: ImagesInput, question: Asked_contra, **options: Unpack[AskOptions]) -> Result_co: ...


class _Descriptor(Protocol[Asked_contra, Result_co]):
    """Such a method on its class: it becomes an `AskMethod` on an object."""

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., Result_co]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> AskMethod[Asked_contra, Result_co]: ...


def ask_method(method: Callable[[Owner, ImagesInput, Asked, AskOptions], Result]) -> _Descriptor[Asked, Result]:
    """Let a method that works on images, a question and settings be called as an `AskMethod`.

    `help` and `inspect.signature` show every setting, and the docstring gets an entry for each
    argument. They show `question=<required>`, because a parameter after `images`, which has a
    default, must have one too. A question that is missing or given twice raises `TypeError`, as
    Python does.
    """

    @wraps(method)
    def ask(self: Owner, *arguments: Any, **keywords: Any) -> Result:
        images, question = _images_and_question(method.__name__, arguments, keywords)
        return method(self, images, question, cast("AskOptions", keywords))

    @wraps(method)
    async def ask_async(self: Owner, *arguments: Any, **keywords: Any) -> Any:
        images, question = _images_and_question(method.__name__, arguments, keywords)
        return await cast("Any", method(self, images, question, cast("AskOptions", keywords)))

    asking = ask_async if inspect.iscoroutinefunction(method) else ask
    signature = inspect.signature(method)
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    own = [
        signature.parameters["self"],
        inspect.Parameter("images", positional, default=None, annotation=signature.parameters["images"].annotation),
        inspect.Parameter(
            "question", positional, default=_REQUIRED, annotation=signature.parameters["question"].annotation
        ),
    ]
    _describe(asking, signature, own, _ARGUMENTS)
    return cast("_Descriptor[Asked, Result]", asking)


def shows_options(function: Function) -> Function:
    """Show the settings that a function takes as `**options` in its signature and docstring, one by one."""
    signature = inspect.signature(function)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    _describe(function, signature, own, "")
    return function


def _describe(
    function: Callable[..., Any], signature: inspect.Signature, own: list[inspect.Parameter], entries: str
) -> None:
    described: Any = function
    settings = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=_annotation(name))
        for name, default in DEFAULTS.items()
    ]
    described.__signature__ = signature.replace(parameters=[*own, *settings])
    if function.__doc__ is not None:  # it is under `python -OO`
        settings_entries = inspect.cleandoc(AskOptions.__doc__ or "").partition("\n\n")[2]
        listed = "\n".join(part for part in (entries, settings_entries) if part)
        indented = "\n".join(f"    {line}" for line in listed.splitlines())
        described.__doc__ = f"{inspect.cleandoc(function.__doc__)}\n\nArgs:\n{indented}\n"


def _annotation(name: str) -> str:
    annotation: Any = AskOptions.__annotations__[name]
    return str(getattr(annotation, "__forward_arg__", annotation))


def _images_and_question(name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, Any]:
    """Take images and question out of what a method was called with; the settings stay in `keywords`."""
    order = ("question",) if len(arguments) == 1 and "question" not in keywords else ("images", "question")
    if len(arguments) > len(order):
        raise TypeError(f"{name}() takes images and a question, but {len(arguments)} positional arguments were given")
    given = dict(zip(order, arguments, strict=False))
    for argument in ("images", "question"):
        if argument in keywords:
            if argument in given:
                raise TypeError(f"{name}() got multiple values for argument {argument!r}")
            given[argument] = keywords.pop(argument)
    if "question" not in given:
        raise TypeError(f"{name}() is missing its question; call {name}(question) or {name}(images, question)")
    _refuse_swapped(name, given.get("images"), given["question"])
    return given.get("images"), given["question"]


def _refuse_swapped(name: str, images: object, question: object) -> None:
    """Raise `PromptError` for images in the place of the question, as far as that can be told."""
    call = f"{name}(images, question)"
    if images is None and isinstance(question, str) and _names_a_file(question):
        raise PromptError(f"{question} is a file and no question was asked; call {call}")
    if not isinstance(images, str):
        return
    if not isinstance(question, str | list | tuple):
        kind = type(question).__name__
        raise PromptError(f"the question is {kind}; it must be a string, and images come before it: {call}")
    if not isinstance(question, str) and not all(isinstance(one, Message | ToolResult | Mapping) for one in question):
        raise PromptError(f"the question is a list of images; images come before the question: {call}")


def _names_a_file(question: str) -> bool:
    try:
        return not any(character.isspace() for character in question) and Path(question).is_file()
    except (OSError, ValueError):  # too long for a path, or with a null character
        return False
