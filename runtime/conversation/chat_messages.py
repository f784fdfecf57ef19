"""Messages as OpenAI's chat-completions API writes them become our own, and their images come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal

from uhd_edge.runtime.answer import ToolCall
from uhd_edge.runtime.errors import ImageError, PromptError
from uhd_edge.runtime.images.data_uri import decode_data_uri, is_data_uri
from uhd_edge.runtime.prompt.messages import ImagePart, Message, TextPart
from uhd_edge.runtime.schema.plain_json import load_plain_json, why_unread

if TYPE_CHECKING:
    from uhd_edge.runtime.conversation.encoded_images import QuestionImage

Role = Literal["system", "user", "assistant", "tool"]

_ROLES: Final[dict[object, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


def read_messages(
    messages: Sequence[Message | Mapping[str, Any]], images: Sequence[QuestionImage]
) -> tuple[tuple[Message, ...], tuple[QuestionImage, ...]]:
    """Return messages, each a `Message` or a dict of OpenAI's, and all their images in the order of their places.

    An `image_url` part has its image in a data URI. An `image` part, like an `ImagePart`, is the
    place of the next one of `images`. Raises `PromptError` that names what is wrong in a message,
    and `ImageError` for an invalid data URI.
    """
    given = iter(images)
    read: list[Message] = []
    in_order: list[QuestionImage] = []
    for number, message in enumerate(messages):
        parts: list[TextPart | ImagePart] = []
        for part in _parts(message, f"message {number}"):
            parts.append(part if isinstance(part, TextPart) else ImagePart())
            if isinstance(part, ImagePart):
                in_order += islice(given, 1)
            elif isinstance(part, bytes):
                in_order.append(part)
        place = f"message {number}"
        read.append(Message(_role(message, place), tuple(parts), _thinking(message, place), _calls(message, place)))
    return tuple(read), (*in_order, *given)  # what is left has no place, which laying out the prompt refuses


def _role(message: Message | Mapping[str, Any], place: str) -> Role:
    if isinstance(message, Message):
        return message.role
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise PromptError(f"{place}: the role is {role!r}; it must be one of {', '.join(map(str, _ROLES))}")
    return _ROLES[role]


def _thinking(message: Message | Mapping[str, Any], place: str) -> str:
    """Return what an assistant thought, which servers call `reasoning_content`."""
    if isinstance(message, Message):
        return message.thinking
    thinking = message.get("reasoning_content") or ""
    if not isinstance(thinking, str):
        raise PromptError(f"{place}: reasoning_content is {type(thinking).__name__}; it must be text")
    return thinking


def _calls(message: Message | Mapping[str, Any], place: str) -> tuple[ToolCall, ...]:
    if isinstance(message, Message):
        return message.tool_calls
    calls = message.get("tool_calls") or ()
    if not isinstance(calls, list | tuple):
        raise PromptError(f"{place}: tool_calls is {type(calls).__name__}; it must be a list")
    return tuple(read_tool_call(call, f"{place}, call {number}") for number, call in enumerate(calls))


def read_tool_call(call: object, place: str) -> ToolCall:
    """Read a call as OpenAI's API writes it, with its arguments as JSON text or as a dict; raises `PromptError`."""
    match call:
        case {"function": {"name": str(name), "arguments": str(text)}}:
            try:
                arguments = load_plain_json(text or "{}")
            except (ValueError, RecursionError) as error:
                raise PromptError(f"{place}: the text of the arguments {why_unread(error)}") from error
        case {"function": {"name": str(name), "arguments": arguments}}:
            pass
        case _:
            raise PromptError(f'{place}: it must have "function": {{"name": "..", "arguments": ".."}}')
    if not isinstance(arguments, dict):
        raise PromptError(f"{place}: the arguments must be an object")
    return ToolCall(name, arguments)


def _parts(message: Message | Mapping[str, Any], place: str) -> Iterator[TextPart | ImagePart | bytes]:
    """Yield the parts of a message, an image that is inside it as the bytes of its file."""
    if isinstance(message, Message):
        yield from message.parts
        return
    if not isinstance(message, Mapping):
        raise PromptError(f"{place} is {type(message).__name__}; it must be a dict with role and content")
    content = message.get("content")
    if content is None and message.get("tool_calls"):
        return
    if isinstance(content, str):
        yield TextPart(content)
    elif isinstance(content, list | tuple):
        for number, part in enumerate(content):
            yield _part(part, f"{place}, part {number}")
    else:
        raise PromptError(f"{place}: the content is {type(content).__name__}; it must be text or a list of parts")


def _part(part: object, place: str) -> TextPart | ImagePart | bytes:
    kind = part.get("type") if isinstance(part, Mapping) else None
    match kind, part:
        case "text", {"text": str(text)}:
            return TextPart(text)
        case "image", _:
            return ImagePart()
        case "image_url", {"image_url": {"url": str(url)}}:
            return _image(url, place)
        case (("text" | "image_url"), _):
            wanted = '"text": ".."' if kind == "text" else '"image_url": {"url": "data:.."}'
            raise PromptError(f"{place}: a part of type {kind} must have {wanted}")
    raise PromptError(f"{place}: the type is {kind!r}; it must be text, image_url or image")


def _image(url: str, place: str) -> bytes:
    if not is_data_uri(url):
        raise PromptError(
            f"{place}: the URL must be a data URI; read or fetch {url[:60]!r} yourself, and give the image in `images`"
        )
    try:
        return decode_data_uri(url)
    except ImageError as error:
        raise ImageError(f"{place}: {error}") from error
