"""The body of a chat completion: its parameters and their types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    StrictBool,
    StrictInt,
    ValidationError,
    model_validator,
)

from uhd_edge.runtime.modes import Mode
from uhd_edge.server.errors import ApiError
from uhd_edge.server.openai.tidying import QUIET, refuse_unsupported, tidy_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from uhd_edge.server.model_facts import ModelFacts


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageUrl(_Strict):
    """The URL of an image; with the `detail` "low" only its thumbnail is looked at.

    `mode`, which is not in OpenAI's API, is that of this image alone.
    """

    url: str
    mode: Mode | None = None
    detail: Literal["auto", "low", "high"] | None = None
    min_pixels: PositiveInt | None = None
    max_pixels: PositiveInt | None = None


class VideoUrl(_Strict):
    """The URL of a video, or those of its frames."""

    url: str | None = None
    frames: list[str] = Field(default_factory=list, max_length=1024)

    @model_validator(mode="after")
    def _has_one(self) -> VideoUrl:
        if (self.url is None) == (not self.frames):
            raise ValueError("a video has a url, or a list of at least one frame")
        return self


class TextContent(_Strict):
    """Text of a message."""

    type: Literal["text"]
    text: str


class ImageContent(_Strict):
    """An image of a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


class VideoContent(_Strict):
    """A video of a message."""

    type: Literal["video_url"]
    video_url: VideoUrl


def _in_parts(content: object) -> object:
    """Turn text into a list of one part."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


Content = Annotated[TextContent | ImageContent | VideoContent, Field(discriminator="type")]
Number = Annotated[float, Field(strict=True)]


class ChatMessage(_Strict):
    """A message; `developer` is another name for `system`."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[list[Content], BeforeValidator(_in_parts)]
    name: str | None = None
    reasoning_content: str = ""
    tool_calls: list[dict[str, Any]] = Field(default_factory=list)
    tool_call_id: str | None = None


class StreamOptions(_Strict):
    """What a stream contains besides the text."""

    include_usage: StrictBool = False
    include_obfuscation: StrictBool = False


class JsonSchema(BaseModel):
    """A JSON schema with a name; answers always fit it, whether or not `strict` is set."""

    name: str
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")


class ResponseFormat(_Strict):
    """Text, any JSON object, or JSON of a given shape."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class TemplateArguments(_Strict):
    """What other servers hand to the chat template; `enable_thinking` is another name for `think`."""

    enable_thinking: StrictBool | None = None


class ChatRequest(_Strict):
    """The body of a chat completion; null means that a parameter is not given."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: StrictInt | None = None
    max_completion_tokens: StrictInt | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    seed: StrictInt | None = None
    stop: str | list[str] | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    n: StrictInt | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    logit_bias: dict[str, Number] | None = None
    logprobs: StrictBool | None = None
    top_logprobs: StrictInt | None = None
    reasoning_effort: str | None = None
    parallel_tool_calls: StrictBool | None = None
    response_format: ResponseFormat | None = None
    # Not in OpenAI's API; see `AskOptions`.
    top_k: StrictInt | None = None
    min_p: Number | None = None
    repetition_penalty: Number | None = None
    mode: Mode | None = None
    max_slices: StrictInt | None = None
    budget_ms: Number | None = None
    budget_share: Number | None = None
    think: StrictBool | str | None = None
    think_tokens: StrictInt | None = None
    chat_template_kwargs: TemplateArguments | None = None
    details: StrictBool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None


KNOWN = frozenset(ChatRequest.model_fields)


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body holds; raises `ApiError` 400 for anything else."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON ({error})") from error
    if not isinstance(given, dict):
        raise ApiError(400, "the body is not a JSON object")
    return given


def parse_request(given: dict[str, Any], *, strict: bool = False) -> tuple[ChatRequest, tuple[str, ...]]:
    """Check the parameters of a request, and return them with the names of those that were ignored.

    If it is `strict`, nothing is translated, and unknown parameters are refused. Raises `ApiError`
    400 that names what is wrong or not supported.
    """
    ignored: tuple[str, ...] = ()
    if strict:
        _drop_nulls(given)
        refuse_unsupported(given)
    else:
        given, ignored = tidy_request(given, KNOWN)
    try:
        return ChatRequest.model_validate(given), ignored
    except ValidationError as error:
        raise _refused(error, given) from error


def parse_translated(
    chat: dict[str, Any], left_out: tuple[str, ...], model: ModelFacts
) -> tuple[ChatRequest, tuple[str, ...]]:
    """Check a request in another API's words that was translated to `chat`, as `parse_request` does.

    `left_out` are the names that have no translation.
    """
    request, ignored = parse_request(chat)
    model.require_name(request.model)
    return request, (*left_out, *ignored)


def refuse_names(names: Iterable[str]) -> None:
    """Raise `ApiError` 400 for the first of the names of parameters that there are not."""
    for name in names:
        raise ApiError(400, f"{name} is not a parameter of this server", param=name, code="unknown_parameter")


def _drop_nulls(given: dict[str, Any]) -> None:
    """Leave out what is not given, and what clients send back with the message of an answer."""
    for name in [name for name in given if name in QUIET or given[name] is None]:
        del given[name]
    messages = given.get("messages")
    for message in messages if isinstance(messages, list) else []:
        for name in [name for name in message if message[name] is None] if isinstance(message, dict) else []:
            del message[name]
        if isinstance(message, dict) and message.get("role") == "assistant":
            message.setdefault("content", [])  # beside calls there may be none


def _refused(error: ValidationError, given: object) -> ApiError:
    errors = error.errors(include_url=False, include_input=False)
    places = [tuple(_place(one["loc"], given, missing=one["type"] == "missing")) for one in errors]
    # Where there are several forms, each says why it is not that one; the one that fits best is wrong the deepest.
    deepest = max(
        range(len(errors)), key=lambda at: len(places[at]) if places[at][: len(places[0])] == places[0] else 0
    )
    place, wrong = ".".join(places[deepest]), errors[deepest]
    if wrong["type"] == "extra_forbidden":
        return ApiError(400, f"{place} is not a parameter of this server", param=place, code="unknown_parameter")
    return ApiError(400, f"{place}: {wrong['msg']}", param=place)


def _place(loc: Sequence[str | int], given: Any, *, missing: bool) -> Iterator[str]:
    """Yield where in a request an error is; names of pydantic's types, which stand between, are no place in it."""
    for number, part in enumerate(loc, 1):
        has_it = part in given if isinstance(given, dict) else isinstance(given, list) and isinstance(part, int)
        if has_it:
            given = cast("Any", given)[part]
        if has_it or (missing and number == len(loc)):
            yield str(part)
