"""Errors in OpenAI's format, each with its HTTP status."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime.errors import (
    BusyError,
    ContextError,
    EngineUnavailableError,
    ImageError,
    MissingExtraError,
    OptionError,
    PromptError,
    SchemaError,
    UhdError,
)
from uhd_edge.runtime.schema.plain_json import whole_characters

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the client can correct; everything else is an error of the server.
_OF_THE_REQUEST = (ImageError, PromptError, OptionError, SchemaError, EngineUnavailableError, MissingExtraError)

# Settings that are called otherwise in a chat completion.
_REQUESTS_NAMES = {"answers": "n", "logprobs": "top_logprobs", "schema": "response_format"}

# What would help, where a request can set it.
_SETTING = re.compile(r"use --(mode|max-slices|max-frames) (\w+)")

# The code of a refusal after which nothing more is read: where the next request begins is not certain.
TWO_LENGTHS = "two_lengths"

_KINDS = {401: "authentication_error", 429: "rate_limit_error"}

# What JSON calls values, by their types in Python.
_OF_JSON = {int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}


class ApiError(UhdError):
    """An error response: its HTTP status, a message, and the parameter that it is about.

    Both have whole characters only, so that they can be sent whatever the request had in it.
    """

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(whole_characters(message))
        self.status = status
        self.param = None if param is None else whole_characters(param)
        self.code = code

    @property
    def body(self) -> dict[str, Any]:
        """The error in OpenAI's format."""
        kind = _KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that the status calls for."""
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        if self.status in (429, 503):
            return {"Retry-After": "1"}
        if self.code == TWO_LENGTHS:
            return {"Connection": "close"}
        return {}


def wrong_type(place: str, given: object, wanted: str) -> ApiError:
    """Return the error for a value at a place of a body that is no `wanted`, such as "text" or "an object"."""
    kind = _OF_JSON.get(type(given)) or json.dumps(given)
    return ApiError(400, f"{place} is {kind}; it must be {wanted}", param=place)


def shown(given: object) -> str:
    """Return a value of a body as an error shows it: a text in quotes, anything else as JSON; of both the beginning."""
    if isinstance(given, str):
        return repr(given[:40])
    try:
        return json.dumps(given)[:40]
    except RecursionError:
        return _OF_JSON[type(given)]


def renamed(message: str, name: str, other: str) -> str:
    """Return a message with another name for a parameter where that is first named."""
    return (
        message if name == other else re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w)", lambda _: other, message, count=1)
    )


def api_error(error: BaseException) -> ApiError | None:
    """Translate an error into an `ApiError`; None for one that was not raised on purpose."""
    if isinstance(error, ApiError):
        return error
    message = " ".join(str(error).split())
    if isinstance(error, BusyError):
        return ApiError(429, message, code="busy")
    if isinstance(error, ContextError):
        return ApiError(400, _in_words_of_requests(message), param="messages", code="context_length_exceeded")
    if isinstance(error, _OF_THE_REQUEST):
        return _of_the_request(error, message)
    if isinstance(error, UhdError):
        return ApiError(500, message)
    return None


def _in_words_of_requests(message: str) -> str:
    """Name what a request can set as it does so, and no options of a command that its sender did not give."""
    message = _SETTING.sub(lambda found: f"set {found[1].replace('-', '_')} to {found[2]}", message)
    return re.sub(r"(use|raise) --context", r"start the server with --context", message)


def _of_the_request(error: UhdError, message: str) -> ApiError:
    """Name the parameter that the client can correct, as a chat completion calls it."""
    param = None
    if isinstance(error, OptionError) and error.parameter is not None:
        param = _REQUESTS_NAMES.get(error.parameter, error.parameter)
        message = renamed(message, error.parameter, param)
    elif isinstance(error, SchemaError):
        param = "response_format"
    elif isinstance(error, ImageError | PromptError):
        param = "messages"
    return ApiError(400, message, param=param)
