"""Messages as clients send them, and get them back from other servers, become those that this server knows."""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

from uhd_edge.server.errors import ApiError, wrong_type
from uhd_edge.server.media.unseen import Seen, leave_out_others, refuse_unseen
from uhd_edge.server.openai.same_meaning import OF_MESSAGES, THOUGHTS, require_agreement
from uhd_edge.server.openai.tidy_parts import PartPlace, tidy_part

# Of a message; parts beyond these are not looked at.
MOST_PARTS: Final = 4096

_KNOWN: Final = ("role", "content", "name", "reasoning_content", "tool_calls", "tool_call_id")

# What comes with the answers of servers and goes back to them, and says nothing to the model.
_QUIET: Final = frozenset(
    (
        *("annotations", "audio", "cache_control", "function_call", "id", "index", "parsed", "phase", "prefix"),
        *("refusal", "provider_specific_fields", "reasoning_details", "status", "thinking_blocks", "type", "tool_name"),
    )
)


def tidy_messages(messages: list[Any], ignored: list[str], names: dict[str, str]) -> list[Any]:
    """Return the messages in this server's form, and add to `ignored` the places of what was left out.

    What something was called is added to `names`, see `SentNames`. What is no message stays as it is,
    and is refused later. Raises `ApiError` 400 for parts that are not supported, for what contradicts itself, and for
    pictures where none is looked at.
    """
    return [
        _message(message, f"messages.{number}", ignored, names) if isinstance(message, dict) else message
        for number, message in enumerate(messages)
    ]


def _message(message: dict[str, Any], place: str, ignored: list[str], names: dict[str, str]) -> dict[str, Any]:
    given = {name: value for name, value in message.items() if value is not None}
    if "function_call" in given:
        told = f"{place}.function_call is not supported; use tool_calls"
        raise ApiError(400, told, param=f"{place}.function_call")
    require_agreement(given, OF_MESSAGES, f"{place}.")
    tidied: dict[str, Any] = {name: given[name] for name in _KNOWN if name in given}
    for name in THOUGHTS:
        if given.get(name, "") != "" and tidied.get("reasoning_content", "") == "":
            tidied["reasoning_content"] = given[name]
            names[f"{place}.reasoning_content"] = f"{place}.{name}"
    of_parts: list[str] = []
    if isinstance(content := tidied.get("content"), list | dict):
        tidied["content"] = _parts(content, f"{place}.content", of_parts, names)
    seen = looked_at([tidied])
    leave_out_others(place, given, (*_KNOWN, *THOUGHTS, *_QUIET), ignored, seen)
    for name in _QUIET & given.keys():
        refuse_unseen(f"{place}.{name}", given[name], seen)
    if given.get("role") != "tool" and "name" in given:  # of a tool's result it is that of the call
        ignored.append(f"{place}.name")
    if tidied.get("tool_calls") == []:
        del tidied["tool_calls"]
    ignored += of_parts
    refusal = said_instead(given, place)
    if tidied.get("role") in ("assistant", "tool") and "content" not in tidied:
        tidied["content"] = refusal
    return tidied


def looked_at(messages: Any) -> Seen:
    """Return the images and videos in the content of messages that this server knows."""
    known = [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []
    contents = [message.get("content") for message in known]
    parts = [part for content in contents if isinstance(content, list) for part in content if isinstance(part, dict)]
    held = [part[name] for part in parts for name in ("image_url", "video_url") if isinstance(part.get(name), dict)]
    frames = [one["frames"] for one in held if isinstance(one.get("frames"), list)]
    urls = [*(one.get("url") for one in held), *chain.from_iterable(frames)]
    return Seen(frozenset(url for url in urls if isinstance(url, str)))


def said_instead(message: dict[str, Any], place: str) -> str | list[Any]:
    """Return what is said in an answer without content; raises `ApiError` 400 for a refusal that is no text."""
    refusal = message.get("refusal")
    if refusal and not isinstance(refusal, str):
        raise wrong_type(f"{place}.refusal", refusal, "text")
    return refusal or []


def _parts(content: list[Any] | dict[str, Any], place: str, ignored: list[str], names: dict[str, str]) -> list[Any]:
    """Return the parts that say something; a part alone is a list of one. Too many are refused later."""
    if isinstance(content, list) and len(content) > MOST_PARTS:
        return content
    sent = [(place, content)] if isinstance(content, dict) else [(f"{place}.{n}", one) for n, one in enumerate(content)]
    parts: list[Any] = []
    for at, part in sent:
        tidied = tidy_part(part, PartPlace(f"{place}.{len(parts)}", at, ignored, names))
        parts += [] if tidied is None else [tidied]
    return parts
