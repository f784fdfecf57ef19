"""The body of a chat completion: its parameters and their types."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    model_validator,
)

from uhd_edge.runtime.modes import Mode
from uhd_edge.server.openai.own_words import plain_request
from uhd_edge.server.openai.refusing import refused
from uhd_edge.server.openai.tidy_messages import MOST_PARTS
from uhd_edge.server.openai.tidying import refuse_unsupported, tidy_request

# An item beyond these is not looked at, and the first wrong message ends the reading of all.
MOST_MESSAGES: Final = 4096
MOST_STOPS: Final = 1000
MOST_TOOLS: Final = 1000
MOST_FIELDS: Final = 1000
# Of a video; more frames a second than any camera gives would only be the same again.
MOST_FPS: Final = 240.0


def _whole(given: object) -> object:
    """Take a whole number that is written with a point."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


Number = Annotated[float, Field(strict=True)]
Positive = Annotated[int, Field(strict=True, gt=0), BeforeValidator(_whole)]
Rate = Annotated[float, Field(strict=True, gt=0, le=MOST_FPS)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _has_few_fields(cls, given: object) -> object:
        if isinstance(given, dict) and len(given) > MOST_FIELDS:
            raise ValueError(f"it has {len(given)} fields; at most {MOST_FIELDS} may be")
        return given


class ImageUrl(_Strict):
    """The URL of an image; with the `detail` "low" only its thumbnail is looked at.

    `mode`, which is not in OpenAI's API, is that of this image alone.
    """

    url: str
    mode: Mode | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None
    min_pixels: Positive | None = None
    max_pixels: Positive | None = None


class VideoUrl(_Strict):
    """The URL of a video, or those of its frames; `fps` is how many frames a second of a video are looked at."""

    url: str | None = None
    frames: list[str] = Field(default_factory=list, max_length=1024)
    mode: Mode | None = None
    max_frames: Positive | None = None
    fps: Rate | None = None

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


def _with_numbers(given: object) -> object:
    """Refuse the first value that is no number, instead of saying of each of thousands that it is none."""
    if isinstance(given, dict):
        wrong = next((name for name, value in given.items() if type(value) not in (int, float)), None)
        if wrong is not None:
            raise ValueError(f"the value of {wrong[:40]!r} is no number")
    return given


Content = Annotated[TextContent | ImageContent | VideoContent, Field(discriminator="type")]


class ChatMessage(_Strict):
    """A message; `developer` is another name for `system`."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[list[Content], Field(max_length=MOST_PARTS), BeforeValidator(_in_parts)]
    name: str | None = None
    reasoning_content: str = ""
    tool_calls: list[dict[str, Any]] = Field(default_factory=list, max_length=MOST_TOOLS)
    tool_call_id: str | None = None


class StreamOptions(_Strict):
    """What a stream contains besides the text."""

    include_usage: StrictBool = False
    include_obfuscation: StrictBool = False


class JsonSchema(_Strict):
    """A JSON schema with a name; answers always fit it, whether or not `strict` is set."""

    name: str
    description: str | None = None
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")
    strict: StrictBool | None = None


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
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MOST_MESSAGES), FailFast()]
    max_tokens: StrictInt | None = None
    max_completion_tokens: StrictInt | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    seed: StrictInt | None = None
    stop: str | Annotated[list[str], Field(max_length=MOST_STOPS)] | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    n: StrictInt | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    logit_bias: Annotated[dict[str, Number], BeforeValidator(_with_numbers)] | None = None
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
    min_pixels: Positive | None = None
    max_pixels: Positive | None = None
    max_frames: Positive | None = None
    fps: Rate | None = None
    budget_ms: Number | None = None
    budget_share: Number | None = None
    think: StrictBool | str | None = None
    think_tokens: StrictInt | None = None
    chat_template_kwargs: TemplateArguments | None = None
    details: StrictBool | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: str | dict[str, Any] | None = None


KNOWN = frozenset(ChatRequest.model_fields)


def parse_request(
    given: dict[str, Any], names: dict[str, str], *, strict: bool = False
) -> tuple[ChatRequest, tuple[str, ...]]:
    """Check the parameters of a request, and return them with the names of those that were ignored.

    What was translated is added to `names`, see `SentNames`. If it is `strict`, only what OpenAI's
    client sends is, and unknown parameters are refused. Raises `ApiError` 400 that names what is
    wrong or not supported.
    """
    if strict:
        given, ignored = plain_request(given, names)
        refuse_unsupported(given)
    else:
        given, ignored = tidy_request(given, KNOWN, names)
    try:
        return ChatRequest.model_validate(given), ignored
    except ValidationError as error:
        raise refused(error, given) from error
