"""From a chat completion to the runtime's messages and settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from uhd_edge.runtime.conversation.chat_messages import read_tool_call
from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.prompt.messages import ImagePart, Message, TextPart
from uhd_edge.runtime.schema.answer_schema import answer_schema
from uhd_edge.runtime.tools.tool_set import parse_tools
from uhd_edge.server.chat_request import ImageContent, NamedTool
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from uhd_edge.runtime.options import AskOptions
    from uhd_edge.runtime.tools.tool_set import Tool
    from uhd_edge.server.chat_request import ChatMessage, ChatRequest, ImageUrl, ResponseFormat

Role = Literal["system", "user", "assistant", "tool"]

_SAME_NAME: Final = (
    *("temperature", "top_p", "seed", "top_k", "min_p", "repetition_penalty"),
    *("mode", "max_slices", "budget_ms", "budget_share", "stop", "think_tokens"),
)
_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


@dataclass(frozen=True)
class ParsedChat:
    """A conversation, its images in their order (URL, and mode if they have one of their own), and the settings."""

    messages: tuple[Message, ...]
    images: tuple[ImageUrl, ...]
    options: AskOptions


def parse_chat(request: ChatRequest) -> ParsedChat:
    """Translate a request; raises `ApiError` for an invalid conversation and `SchemaError` for an invalid schema."""
    last = request.messages[-1]
    if last.role not in ("user", "tool"):
        raise ApiError(400, f"the last message has the role {last.role}; it must be user or tool", param="messages")
    if last.role == "user" and not any(part.text.strip() for part in _parts(last) if isinstance(part, TextPart)):
        raise ApiError(400, "the last message has no text; ask something", param="messages")
    images = [
        part.image_url for message in request.messages for part in message.content if isinstance(part, ImageContent)
    ]
    messages = tuple(_message(message, number) for number, message in enumerate(request.messages))
    return ParsedChat(messages, tuple(images), parse_options(request))


def parse_options(request: ChatRequest) -> AskOptions:
    """Return the settings of a request; what it does not set has the runtime's default, so temperature is 0."""
    given: dict[str, Any] = {name: getattr(request, name) for name in _SAME_NAME}
    longest = request.max_completion_tokens
    given["max_tokens"] = request.max_tokens if longest is None else longest
    given["schema"] = _schema(request.response_format)
    arguments = request.chat_template_kwargs
    given["think"] = arguments.enable_thinking if request.think is None and arguments is not None else request.think
    given["tools"], given["tool_choice"] = _tools(request)
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


def _tools(request: ChatRequest) -> tuple[tuple[Tool, ...] | None, str | None]:
    """Return the tools and the choice among them, checked so that an error names its parameter."""
    if request.tools is None and request.tool_choice in (None, "auto", "none"):
        return None, None
    choice = request.tool_choice
    chosen = choice.function.name if isinstance(choice, NamedTool) else choice or "auto"
    try:
        return parse_tools(request.tools, chosen).tools, chosen
    except OptionError as error:
        raise ApiError(400, str(error), param="tools") from error


def _message(message: ChatMessage, number: int) -> Message:
    calls = [read_tool_call(call, f"messages.{number}, call {place}") for place, call in enumerate(message.tool_calls)]
    return Message(_ROLES[message.role], _parts(message), message.reasoning_content, tuple(calls))


def _parts(message: ChatMessage) -> tuple[TextPart | ImagePart, ...]:
    if message.role != "user" and any(isinstance(part, ImageContent) for part in message.content):
        raise ApiError(
            400, f"a message with the role {message.role} has an image; only messages of the user may", param="messages"
        )
    return tuple(ImagePart() if isinstance(part, ImageContent) else TextPart(part.text) for part in message.content)
