"""A body of `/v1/responses` in OpenAI's own words, which is all that a strict server takes there.

Chat completions have other words for the same. Here they are refused, with the one that responses have.
"""

from __future__ import annotations

from typing import Any, Final

from uhd_edge.server.errors import ApiError
from uhd_edge.server.openai.own_words import OURS, not_ours, require_own_tools
from uhd_edge.server.openai.same_meaning import LOGPROBS
from uhd_edge.server.openai.tidying import QUIET

_OFFICIAL: Final = frozenset(
    (
        *("background", "conversation", "include", "input", "instructions", "max_output_tokens", "max_tool_calls"),
        *("model", "moderation", "parallel_tool_calls", "previous_response_id", "prompt", "reasoning", "stream"),
        *("stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation"),
    )
)
_INSTEAD: Final = {
    **dict.fromkeys(("max_tokens", "max_completion_tokens"), "max_output_tokens"),
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "messages": "input",
    "logprobs": f"include with {LOGPROBS}",
}
_OF_MESSAGES: Final = frozenset(("type", "id", "status", "phase", "role", "content"))
_ITEMS_INSTEAD: Final = {
    "tool_calls": "an item of the type function_call",
    "tool_call_id": "an item of the type function_call_output",
    "reasoning_content": "an item of the type reasoning",
}
_PARTS_INSTEAD: Final = {"text": "input_text", "image_url": "input_image", "file": "input_file"}


def require_own_words(given: dict[str, Any]) -> None:
    """Raise `ApiError` 400 that names the first word which responses do not have."""
    for name in _given(given, (*_OFFICIAL, *OURS, *QUIET)):
        raise not_ours(name, _INSTEAD.get(name))
    reasoning = given.get("reasoning")
    for name in ("enabled", "max_tokens"):  # which other servers have
        if isinstance(reasoning, dict) and reasoning.get(name) is not None:
            raise not_ours(f"reasoning.{name}", "think" if name == "enabled" else "think_tokens")
    items = given.get("input")
    for number, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and item.get("type", "message") == "message":
            _require_own_message(item, f"input.{number}")
    require_own_tools(given.get("tools"), flat=True)


def _require_own_message(item: dict[str, Any], place: str) -> None:
    for name in _given(item, tuple(_OF_MESSAGES)):
        raise not_ours(f"{place}.{name}", _ITEMS_INSTEAD.get(name))
    if item.get("role") == "tool":
        raise not_ours(f"{place}.role", "an item of the type function_call_output")
    content = item.get("content")
    for number, part in enumerate(content if isinstance(content, list) else ()):
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(kind, str) and kind in _PARTS_INSTEAD:
            raise not_ours(f"{place}.content.{number}.type", _PARTS_INSTEAD[kind])
        if kind == "input_image" and isinstance(part.get("image_url"), dict):
            message = "it must be text (--strict)"
            name = f"{place}.content.{number}.image_url"
            raise ApiError(400, f"{name}: {message}", param=name)


def _given(given: dict[str, Any], known: tuple[str, ...]) -> list[str]:
    return [name for name, value in given.items() if value is not None and name not in known]
