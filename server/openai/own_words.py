"""A chat completion in OpenAI's own words, which a strict server takes as they are: nothing of other servers'.

What the official client sends, or sends back with an answer, and says nothing to the model is left out.
"""

from __future__ import annotations

from typing import Any, Final

from uhd_edge.server.openai.tidying import QUIET

# Of an assistant's message, and of a part.
_QUIET_IN_ANSWERS: Final = ("annotations", "refusal")
_QUIET_IN_PARTS: Final = ("prompt_cache_breakpoint",)


def plain_request(given: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the parameters that say something, and the names of what is known and cannot be followed."""
    ignored: list[str] = []
    plain = {name: value for name, value in given.items() if name not in QUIET and value is not None}
    messages = plain.get("messages")
    if isinstance(messages, list):
        plain["messages"] = [_message(one, ignored) if isinstance(one, dict) else one for one in messages]
    return plain, tuple(ignored)


def _message(given: dict[str, Any], ignored: list[str]) -> dict[str, Any]:
    message = {name: value for name, value in given.items() if value is not None}
    role = message.get("role")
    if "name" in message and role != "tool":  # of a tool's result it is that of the call
        ignored.append("messages[].name")
    if role == "assistant":  # beside calls there may be no content
        message.setdefault("content", message.get("refusal", []))
        message = {name: value for name, value in message.items() if name not in _QUIET_IN_ANSWERS}
    if isinstance(message.get("content"), list):
        message["content"] = [_part(part) if isinstance(part, dict) else part for part in message["content"]]
    return message


def _part(given: dict[str, Any]) -> dict[str, Any]:
    part = {name: value for name, value in given.items() if value is not None and name not in _QUIET_IN_PARTS}
    if part.keys() == {"type", "refusal"} and part["type"] == "refusal":
        return {"type": "text", "text": part["refusal"]}
    return part
