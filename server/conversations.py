"""A chat completion's messages become the runtime's own, and its parameters the settings of a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from uhd_edge.runtime.prompt.layout import ImagePart, Message, TextPart
from uhd_edge.runtime.schema.answer_schema import answer_schema
from uhd_edge.server.chat_request import ImageContent
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from uhd_edge.runtime.options import AskOptions
    from uhd_edge.server.chat_request import ChatMessage, ChatRequest, ResponseFormat

Role = Literal["system", "user", "assistant"]

_SAME_NAME: Final = ("temperature", "top_p", "seed", "top_k", "min_p", "repetition_penalty", "mode", "max_slices")
_ROLES: Final[dict[str, Role]] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True)
class ParsedChat:
    """A conversation with the URLs of its images in their order, and the settings of the answer."""

    messages: tuple[Message, ...]
    urls: tuple[str, ...]
    options: AskOptions


def parse_chat(request: ChatRequest) -> ParsedChat:
    """Translate a request; raises `ApiError` for what makes no conversation and `SchemaError` for a wrong schema."""
    last = request.messages[-1]
    if last.role != "user":
        raise ApiError(400, f"the last message is the {last.role}'s; it must be the user's", param="messages")
    if not any(part.text.strip() for part in _parts(last) if isinstance(part, TextPart)):
        raise ApiError(400, "the last message has no text; ask something", param="messages")
    urls = [
        part.image_url.url for message in request.messages for part in message.content if isinstance(part, ImageContent)
    ]
    messages = tuple(Message(_ROLES[message.role], _parts(message)) for message in request.messages)
    return ParsedChat(messages, tuple(urls), parse_options(request))


def parse_options(request: ChatRequest) -> AskOptions:
    """Return the settings that a request gives; temperature 0 where it gives none, as everywhere in the runtime."""
    given: dict[str, Any] = {name: getattr(request, name) for name in (*_SAME_NAME, "budget_ms", "stop")}
    longest = request.max_completion_tokens
    given["max_tokens"] = request.max_tokens if longest is None else longest
    given["schema"] = _schema(request.response_format)
    options: AskOptions = {}
    options.update({name: value for name, value in given.items() if value is not None})  # type: ignore[typeddict-item]
    return options


def _schema(wanted: ResponseFormat | None) -> object | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return answer_schema({"type": "object"})
    if wanted.json_schema is None:
        raise ApiError(400, "response_format has no json_schema", param="response_format")
    return answer_schema(wanted.json_schema.schema_)


def _parts(message: ChatMessage) -> tuple[TextPart | ImagePart, ...]:
    if message.role != "user" and any(isinstance(part, ImageContent) for part in message.content):
        raise ApiError(400, f"a message of the {message.role}'s has an image; only the user's may", param="messages")
    return tuple(ImagePart() if isinstance(part, ImageContent) else TextPart(part.text) for part in message.content)
