"""From a chat completion to the runtime's messages and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, cast

from uhd_edge.runtime.conversation.chat_messages import read_tool_call
from uhd_edge.runtime.conversation.request import MOST_ANSWERS, MOST_LOGPROBS
from uhd_edge.runtime.errors import OptionError, PromptError, SchemaError
from uhd_edge.runtime.llm.sampling import HIGHEST_SEED, LOWEST_TEMPERATURE, Sampling
from uhd_edge.runtime.prompt.messages import ImagePart, Message, TextPart
from uhd_edge.runtime.schema.answer_schema import answer_schema
from uhd_edge.runtime.validation import HIGHEST_COUNT, shown_number
from uhd_edge.server.dialect import Asked
from uhd_edge.server.errors import ApiError
from uhd_edge.server.media.parts import MediaPart
from uhd_edge.server.openai.chat_request import ImageContent, TextContent, VideoContent
from uhd_edge.server.openai.thinking import wish_to_think
from uhd_edge.server.openai.tool_choice import left_out_of_tools, read_tools

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import ToolCall
    from uhd_edge.runtime.options import AskOptions
    from uhd_edge.server.model_facts import ModelFacts
    from uhd_edge.server.openai.chat_request import ChatMessage, ChatRequest, ResponseFormat

Role = Literal["system", "user", "assistant", "tool"]

_SAME_NAME: Final = (
    *("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"),
    *("mode", "max_slices", "budget_ms", "budget_share", "stop", "think_tokens"),
)
_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


def parse_chat(request: ChatRequest, model: ModelFacts, *, strict: bool) -> Asked:
    """Translate a request, with the places of what of it cannot be followed.

    Raises `ApiError` for an invalid conversation and `SchemaError` for an invalid schema.
    """
    _require_question(request.messages[-1], f"messages.{len(request.messages) - 1}", strict=strict)
    _require_sizes(request.min_pixels, request.max_pixels)
    media = tuple(
        _media(part, request, f"messages.{number}.content.{place}")
        for number, message in enumerate(request.messages)
        for place, part in enumerate(message.content)
        if is_media(part)
    )
    messages = tuple(_message(message, number) for number, message in enumerate(request.messages))
    options, ignored = parse_options(request, model, strict=strict)
    return Asked(
        messages,
        media,
        options,
        bool(request.stream),
        (*_ignored_rates(request), *left_out_of_tools(request), *ignored),
    )


def _require_question(last: ChatMessage, place: str, *, strict: bool) -> None:
    """Raise `ApiError` 400 unless something is asked in the end."""
    if strict and last.role not in ("user", "tool"):
        message = f"{place}.role is {last.role}; in the last message it must be user or tool"
        raise ApiError(400, message, param=f"{place}.role")
    if last.role == "user" and not _says_something(last, place, strict=strict):
        raise ApiError(400, f"{place}.content has no text; ask something", param=f"{place}.content")


def parse_options(
    request: ChatRequest, model: ModelFacts, *, strict: bool = False
) -> tuple[AskOptions, tuple[str, ...]]:
    """Return the settings of a request, and the names of those that this model cannot follow.

    What it does not set has the runtime's default, so temperature is 0.
    """
    given: dict[str, Any] = {name: getattr(request, name) for name in _SAME_NAME}
    if request.temperature is not None and 0 < request.temperature < LOWEST_TEMPERATURE:
        given["temperature"] = 0.0  # which is what clients mean that may not say 0
    longest = _checked("max_completion_tokens", request.max_completion_tokens, 1, HIGHEST_COUNT)
    given["max_tokens"] = request.max_tokens if longest is None else longest
    given["schema"] = _schema(request.response_format)
    given["think"], ignored = wish_to_think(_wishes(request), model, strict=strict)
    given["tools"], given["tool_choice"] = read_tools(request, model_calls=model.calls)
    given["parallel_tool_calls"] = request.parallel_tool_calls
    if request.seed is not None:
        given["seed"] = request.seed % (HIGHEST_SEED + 1)
    given["answers"] = _checked("n", request.n, 1, MOST_ANSWERS)
    if request.logprobs or request.top_logprobs:
        given["logprobs"] = _checked("top_logprobs", request.top_logprobs, 0, MOST_LOGPROBS) or 0
    if request.logit_bias:
        given["logit_bias"] = _biases(request.logit_bias)
    options: AskOptions = {}
    options.update({name: value for name, value in given.items() if value is not None})  # type: ignore[typeddict-item]
    return options, ignored


def _wishes(request: ChatRequest) -> dict[str, bool | str | None]:
    arguments = request.chat_template_kwargs
    return {
        "think": request.think,
        "chat_template_kwargs.enable_thinking": None if arguments is None else arguments.enable_thinking,
        "reasoning_effort": request.reasoning_effort,
    }


def is_media(part: object) -> bool:
    """Whether a part is an image or a video."""
    return isinstance(part, ImageContent | VideoContent)


def _media(part: object, request: ChatRequest, place: str) -> MediaPart:
    """Return an image or a video with what is wished for it, or else for all."""
    if isinstance(part, VideoContent):
        video = part.video_url
        wishes: Any = {"mode": video.mode, "max_frames": video.max_frames or request.max_frames}
        if video.url is None:
            return MediaPart("frames", tuple(video.frames), place=f"{place}.video_url.frames", **wishes)
        at = f"{place}.video_url.url"
        return MediaPart("video", (video.url,), fps=video.fps or request.fps, place=at, **wishes)
    image = cast("ImageContent", part).image_url
    least, most = image.min_pixels or request.min_pixels, image.max_pixels or request.max_pixels
    _require_sizes(least, most, "" if image.min_pixels is None else f"{place}.image_url.")
    at = f"{place}.image_url.url"
    return MediaPart("image", (image.url,), image.detail, least, most, image.mode, place=at)


def _require_sizes(least: int | None, most: int | None, place: str = "") -> None:
    if least is not None and most is not None and least > most:
        told = f"{place}min_pixels is {shown_number(least)}, more than max_pixels, which is {most}"
        raise ApiError(400, told, param=f"{place}min_pixels")


def _ignored_rates(request: ChatRequest) -> list[str]:
    """Name the frames a second that are wished for of lists of frames; how far apart those are is not known."""
    frames = {
        f"messages.{number}.content.{place}.video_url.fps": part.video_url
        for number, message in enumerate(request.messages)
        for place, part in enumerate(message.content)
        if isinstance(part, VideoContent) and part.video_url.url is None
    }
    of_all = request.fps is not None and any(video.fps is None for video in frames.values())
    return [place for place, video in frames.items() if video.fps is not None] + ["fps"] * of_all


def _says_something(message: ChatMessage, place: str, *, strict: bool) -> bool:
    if not strict and any(is_media(part) for part in message.content):
        return True
    return any(part.text.strip() for part in _parts(message, place) if isinstance(part, TextPart))


def _checked(name: str, value: int | None, lowest: int, highest: int) -> int | None:
    if value is not None and not lowest <= value <= highest:
        raise ApiError(400, f"{name} is {shown_number(value)}; it must be from {lowest} to {highest}", param=name)
    return value


def _biases(given: dict[str, float]) -> dict[int, float]:
    if wrong := [token for token in given if not (token.isascii() and token.isdecimal() and len(token) < 10)]:
        raise ApiError(400, f"logit_bias has {wrong[0][:40]!r}, which is no token id", param="logit_bias")
    try:
        return dict(Sampling(logit_bias={int(token): bias for token, bias in given.items()}).logit_bias or {})
    except OptionError as error:
        raise ApiError(400, str(error), param="logit_bias") from error


def _schema(wanted: ResponseFormat | None) -> object | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return answer_schema({"type": "object"})
    if wanted.json_schema is None:
        raise ApiError(400, "response_format has no json_schema", param="response_format")
    place = "response_format.json_schema.schema"
    try:
        return answer_schema(wanted.json_schema.schema_)
    except SchemaError as error:
        raise ApiError(400, f"{place}: {' '.join(str(error).split())}", param=place) from error


def _message(message: ChatMessage, number: int) -> Message:
    at = f"messages.{number}"
    calls = [_call(call, f"{at}.tool_calls.{place}") for place, call in enumerate(message.tool_calls)]
    return Message(_ROLES[message.role], _parts(message, at), message.reasoning_content, tuple(calls))


def _call(given: dict[str, Any], place: str) -> ToolCall:
    match given:
        case {"function": {"name": str(), "arguments": _}}:
            place = f"{place}.function.arguments"
    try:
        return read_tool_call(given, place)
    except PromptError as error:
        raise ApiError(400, str(error), param=place) from error


def _parts(message: ChatMessage, place: str) -> tuple[TextPart | ImagePart, ...]:
    number = next((number for number, part in enumerate(message.content) if is_media(part)), None)
    if message.role != "user" and number is not None:
        what = "a video" if isinstance(message.content[number], VideoContent) else "an image"
        told = f"a message with the role {message.role} has {what}; only messages of the user may"
        place = f"{place}.content.{number}"
        raise ApiError(400, f"{place}: {told}", param=place)
    return tuple(TextPart(part.text) if isinstance(part, TextContent) else ImagePart() for part in message.content)
