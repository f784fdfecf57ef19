"""The body of a chat completion: which parameters are used, which are ignored, and which are refused."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from uhd_edge.runtime.modes import Mode
from uhd_edge.server.errors import ApiError

# Parameters that describe the client and do not change the answer.
IGNORED = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store", "user"})

# Parameters of what this server cannot do, with the values that do not ask for it.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "presence_penalty": (0,),
    "reasoning_effort": (),
    "top_logprobs": (0,),
    "verbosity": (),
    "web_search_options": (),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageUrl(_Strict):
    """The URL of an image; `detail` is accepted and ignored, use `max_slices` instead.

    `mode`, which is not in OpenAI's API, is that of this image alone.
    """

    url: str
    mode: Mode | None = None
    detail: Literal["auto", "low", "high"] | None = None


class TextContent(_Strict):
    """Text of a message."""

    type: Literal["text"]
    text: str


class ImageContent(_Strict):
    """An image of a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


def _in_parts(content: object) -> object:
    """Turn text into a list of one part."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


Content = Annotated[TextContent | ImageContent, Field(discriminator="type")]
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


class NamedFunction(BaseModel):
    """The function that has to be called."""

    name: str


class NamedTool(_Strict):
    """The tool that has to be called."""

    type: Literal["function"]
    function: NamedFunction


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
    response_format: ResponseFormat | None = None
    # Not in OpenAI's API; see `AskOptions`.
    top_k: StrictInt | None = None
    min_p: Number | None = None
    repetition_penalty: Number | None = None
    mode: Mode | None = None
    max_slices: StrictInt | None = None
    budget_ms: Number | None = None
    budget_share: Number | None = None
    think: StrictBool | None = None
    think_tokens: StrictInt | None = None
    chat_template_kwargs: TemplateArguments | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None


def parse_request(body: bytes) -> ChatRequest:
    """Parse the body of a request; raises `ApiError` 400 that names what is wrong or not supported."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON ({error})") from error
    if not isinstance(given, dict):
        raise ApiError(400, "the body is not a JSON object")
    for name in [name for name in given if name in IGNORED or given[name] is None]:
        del given[name]
    for name in [name for name in given if name in NEUTRAL]:
        if given[name] not in NEUTRAL[name]:
            raise ApiError(400, f"{name} is not supported; leave it out", param=name, code="unsupported_parameter")
        del given[name]
    messages = given.get("messages")
    for message in messages if isinstance(messages, list) else []:
        # Clients send the message of an answer back unchanged, and it contains nulls.
        for name in [name for name in message if message[name] is None] if isinstance(message, dict) else []:
            del message[name]
        if isinstance(message, dict) and message.get("role") == "assistant":
            message.setdefault("content", [])  # beside calls there may be none
    try:
        return ChatRequest.model_validate(given)
    except ValidationError as error:
        raise _refused(error) from error


def _refused(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_input=False)[0]
    loc = list(first["loc"])
    if loc[0] == "messages" and len(loc) > 5:
        del loc[4]  # the type of the part, which is not a place in the request
    place = ".".join(str(part) for part in loc)
    if first["type"] == "extra_forbidden":
        return ApiError(400, f"{place} is not a parameter of this server", param=place, code="unknown_parameter")
    return ApiError(400, f"{place}: {first['msg']}", param=place)
