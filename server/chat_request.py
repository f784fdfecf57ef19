"""The body of a chat completion: what is understood, what is ignored, and what is refused by name."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from uhd_edge.runtime.modes import Mode
from uhd_edge.server.errors import ApiError

# Parameters that say something about the client and change no answer.
IGNORED = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store", "user"})

# Parameters for what this server cannot do, with the values that do not ask for it.
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
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": (),
    "web_search_options": (),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageUrl(_Strict):
    """Where an image is; `detail` is accepted and changes nothing, `max_slices` does."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class TextContent(_Strict):
    """Words."""

    type: Literal["text"]
    text: str


class ImageContent(_Strict):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


def _in_parts(content: object) -> object:
    """A text alone is the only part of its message."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


Content = Annotated[TextContent | ImageContent, Field(discriminator="type")]
Number = Annotated[float, Field(strict=True)]


class ChatMessage(_Strict):
    """A turn; `developer` is another name for `system`."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[list[Content], BeforeValidator(_in_parts)]
    name: str | None = None


class StreamOptions(_Strict):
    """What a stream has beside the text."""

    include_usage: StrictBool = False
    include_obfuscation: StrictBool = False


class JsonSchema(BaseModel):
    """A named JSON schema; it is always kept to, `strict` or not."""

    name: str
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")


class ResponseFormat(_Strict):
    """Text, any JSON object, or JSON of a stated shape."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatRequest(_Strict):
    """A chat completion as it is asked for; what the API calls null is what is not given."""

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
    # Not OpenAI's: see `AskOptions`.
    top_k: StrictInt | None = None
    min_p: Number | None = None
    repetition_penalty: Number | None = None
    mode: Mode | None = None
    max_slices: StrictInt | None = None
    budget_ms: Number | None = None


def parse_request(body: bytes) -> ChatRequest:
    """Read the body of a request; raises `ApiError` 400 that names what is wrong or cannot be done."""
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
        # As an answer's message has them, which a client sends back as it came.
        for name in [name for name in message if message[name] is None] if isinstance(message, dict) else []:
            del message[name]
    try:
        return ChatRequest.model_validate(given)
    except ValidationError as error:
        raise _refused(error) from error


def _refused(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_input=False)[0]
    loc = list(first["loc"])
    if loc[0] == "messages" and len(loc) > 5:
        del loc[4]  # the kind of part, which is no place in the request
    place = ".".join(str(part) for part in loc)
    if first["type"] == "extra_forbidden":
        return ApiError(400, f"{place} is not a parameter of this server", param=place, code="unknown_parameter")
    return ApiError(400, f"{place}: {first['msg']}", param=place)
