"""A chat completion in OpenAI's own words, which a strict server takes as they are: nothing of other servers'.

What the official client sends, or sends back with an answer, and says nothing to the model is left out.
"""

from __future__ import annotations

from typing import Any, Final

from uhd_edge.runtime.tools.given_tools import PARAMETERS
from uhd_edge.server.errors import ApiError
from uhd_edge.server.media.unseen import refuse_unseen
from uhd_edge.server.openai.tidy_messages import said_instead
from uhd_edge.server.openai.tidy_parts import PartPlace, tidy_part
from uhd_edge.server.openai.tidying import QUIET

# What no official client sends and this server has, at every address.
OURS: Final = frozenset(
    (
        *("mode", "max_slices", "min_pixels", "max_pixels", "fps", "max_frames", "budget_ms", "budget_share"),
        *("think", "think_tokens", "chat_template_kwargs", "top_k", "min_p", "repetition_penalty", "details"),
    )
)

# Of an assistant's message, and of a part.
_QUIET_IN_ANSWERS: Final = ("annotations", "refusal")
_QUIET_IN_PARTS: Final = ("prompt_cache_breakpoint",)


def not_ours(name: str, instead: str | None = None) -> ApiError:
    """Return the error for a word that its address does not have, with what to send instead."""
    told = "" if instead is None else f"; send {instead}"
    return ApiError(
        400, f"{name} is not a parameter of this address (--strict){told}", param=name, code="unknown_parameter"
    )


def require_own_tools(tools: Any, *, flat: bool) -> None:
    """Raise `ApiError` 400 for a tool in other words than OpenAI's; in responses its function is `flat`."""
    for number, tool in enumerate(tools if isinstance(tools, list) else ()):
        if not isinstance(tool, dict):
            continue  # which is refused later
        nested = tool.get("function")
        if flat and nested is not None:
            raise not_ours(f"tools.{number}.function", "its name and parameters beside the type")
        if not flat and nested is None and tool.get("type", "function") == "function":
            message = f'tools.{number} has no function (--strict); send {{"type": "function", "function": {{..}}}}'
            raise ApiError(400, message, param=f"tools.{number}")
        function, place = (tool, f"tools.{number}") if flat else (nested, f"tools.{number}.function")
        for name in PARAMETERS[1:]:
            if isinstance(function, dict) and function.get(name) is not None:
                raise not_ours(f"{place}.{name}", "parameters")
        for name in () if flat else PARAMETERS:
            if tool.get(name) is not None:
                raise not_ours(f"tools.{number}.{name}", "the parameters within function")


def plain_request(given: dict[str, Any], names: dict[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the parameters that say something, and the names of what is known and cannot be followed.

    What the images in files were called is added to `names`, see `SentNames`.
    """
    ignored: list[str] = []
    plain = {name: value for name, value in given.items() if name not in QUIET and value is not None}
    messages = plain.get("messages")
    if isinstance(messages, list):
        plain["messages"] = [
            _message(one, f"messages.{number}", ignored, names) if isinstance(one, dict) else one
            for number, one in enumerate(messages)
        ]
    return plain, tuple(ignored)


def _message(given: dict[str, Any], place: str, ignored: list[str], names: dict[str, str]) -> dict[str, Any]:
    message = {name: value for name, value in given.items() if value is not None}
    role = message.get("role")
    if "name" in message and role != "tool":  # of a tool's result it is that of the call
        ignored.append(f"{place}.name")
    if role == "assistant":  # beside calls there may be no content
        message.setdefault("content", said_instead(message, place))
        for name in _QUIET_IN_ANSWERS:
            refuse_unseen(f"{place}.{name}", message.get(name))
        message = {name: value for name, value in message.items() if name not in _QUIET_IN_ANSWERS}
    if isinstance(message.get("content"), list):
        places = [f"{place}.content.{number}" for number in range(len(message["content"]))]
        message["content"] = [
            _part(part, PartPlace(at, at, ignored, names)) if isinstance(part, dict) else part
            for at, part in zip(places, message["content"], strict=True)
        ]
    return message


def _part(given: dict[str, Any], at: PartPlace) -> Any:
    part = {name: value for name, value in given.items() if value is not None and name not in _QUIET_IN_PARTS}
    if part.keys() == {"type", "refusal"} and part["type"] == "refusal":
        return {"type": "text", "text": part["refusal"]}
    return tidy_part(part, at) if part.get("type") == "file" else part
