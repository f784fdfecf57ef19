"""From a chat completion to the runtime's messages and settings."""

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
    """A conversation, the URLs of its images in their order, and the settings of the answer."""

    messages: tuple[Message, ...]
    urls: tuple[str, ...]
    options: AskOptions


def parse_chat(request: ChatRequest) -> ParsedChat:
    """Translate a request; raises `ApiError` for an invalid conversation and `SchemaError` for an invalid schema."""
    last = request.messages[-1]
    if last.role != "user":
        raise ApiError(400, f"the last message has the role {last.role}; it must be user", param="messages")
    if not any(part.text.strip() for part in _parts(last) if isinstance(part, TextPart)):
        raise ApiError(400, "the last message has no text; ask something", param="messages")
    urls = [
        part.image_url.url for message in request.messages for part in message.content if isinstance(part, ImageContent)
    ]
    messages = tuple(Message(_ROLES[message.role], _parts(message)) for message in request.messages)
    return ParsedChat(messages, tuple(urls), parse_options(request))


def parse_options(request: ChatRequest) -> AskOptions:
    """Return the settings of a request; what it does not set has the runtime's default, so temperature is 0."""
    given: dict[str, Any] = {
        name: getattr(request, name) for name in (*_SAME_NAME, "budget_ms", "budget_share", "stop")
    }
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
        raise ApiError(
            400, f"a message with the role {message.role} has an image; only messages of the user may", param="messages"
        )
    return tuple(ImagePart() if isinstance(part, ImageContent) else TextPart(part.text) for part in message.content)
