"""Messages as clients send them, and get them back from other servers, become those that this server knows."""

from __future__ import annotations

from typing import Any, Final

from uhd_edge.server.errors import ApiError
from uhd_edge.server.openai.same_meaning import OF_MESSAGES, require_agreement
from uhd_edge.server.openai.tidy_parts import tidy_part

_KNOWN: Final = ("role", "content", "name", "reasoning_content", "tool_calls", "tool_call_id")
_THOUGHTS: Final = ("reasoning_content", "reasoning", "thinking")

# What comes with the answers of servers and goes back to them, and says nothing to the model.
_QUIET: Final = frozenset(
    (
        *("annotations", "audio", "cache_control", "function_call", "id", "index", "phase", "prefix", "refusal"),
        *("provider_specific_fields", "reasoning_details", "status", "thinking_blocks", "type", "tool_name"),
    )
)


def tidy_messages(messages: list[Any], ignored: list[str], names: dict[str, str]) -> list[Any]:
    """Return the messages in this server's form, and add to `ignored` what was left out.

    What something was called is added to `names`, see `SentNames`. What is no message stays as it is,
    and is refused later. Raises `ApiError` 400 for parts that are not supported, and for what contradicts itself.
    """
    return [
        _message(message, f"messages.{number}", ignored, names) if isinstance(message, dict) else message
        for number, message in enumerate(messages)
    ]


def _message(message: dict[str, Any], place: str, ignored: list[str], names: dict[str, str]) -> dict[str, Any]:
    given = {name: value for name, value in message.items() if value is not None}
    if "function_call" in given:
        raise ApiError(400, "function_call is not supported; use tool_calls", param="messages")
    require_agreement(given, OF_MESSAGES, f"{place}.")
    tidied: dict[str, Any] = {name: given[name] for name in _KNOWN if name in given}
    for name in _THOUGHTS:
        if given.get(name, "") != "" and tidied.get("reasoning_content", "") == "":
            tidied["reasoning_content"] = given[name]
            names[f"{place}.reasoning_content"] = f"{place}.{name}"
    ignored += [f"messages[].{name}" for name in given if name not in (*_KNOWN, *_THOUGHTS) and name not in _QUIET]
    if given.get("role") != "tool" and "name" in given:  # of a tool's result it is that of the call
        ignored.append("messages[].name")
    if tidied.get("tool_calls") == []:
        del tidied["tool_calls"]
    content = tidied.get("content")
    if isinstance(content, dict):
        content = [content]
    if isinstance(content, list):
        parts = [tidy_part(part, f"{place}.content.{number}", ignored, names) for number, part in enumerate(content)]
        tidied["content"] = [part for part in parts if part is not None]
    if tidied.get("role") in ("assistant", "tool") and "content" not in tidied:
        tidied["content"] = given.get("refusal") or []
    return tidied
