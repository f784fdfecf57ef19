"""The body of `/v1/responses` becomes that of a chat completion: the same question in other words."""

from __future__ import annotations

from typing import Any, Final

from uhd_edge.server.errors import ApiError
from uhd_edge.server.openai.chat_request import KNOWN
from uhd_edge.server.openai.tidying import NEUTRAL, QUIET

# What asks for the probabilities of an answer's tokens.
LOGPROBS: Final = "message.output_text.logprobs"

# The parameters that only responses have; all others are those of chat completions, or are ignored as there.
_OWN: Final = frozenset(("include", "input", "instructions", "max_tool_calls", "text"))

# What this server keeps nothing for, with the values that do not ask for it.
_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "background": (False,),
    "conversation": (),
    "previous_response_id": (),
    "prompt": (),
    "truncation": ("disabled", "auto"),
}

# What a response has no room for.
_UNTOLD: Final = ("messages", "details")


def unknown_names(given: dict[str, Any]) -> list[str]:
    """Return the names in a body that neither OpenAI's responses have nor this server's chat completions."""
    known = (*_OWN, *_NEUTRAL, "max_output_tokens", "reasoning", *KNOWN, *QUIET, *NEUTRAL)
    return [name for name, value in given.items() if value is not None and name not in known]


def as_chat_body(given: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the body of a chat completion, and the names of what was left out.

    Raises `ApiError` 400 for what is not supported: conversations that the server would have to
    keep, tools that it would have to run, files, several answers.
    """
    given = {name: value for name, value in given.items() if value is not None}
    for name, neutral in _NEUTRAL.items():
        if name in given and given.pop(name) not in neutral:
            message = f"{name} is not supported, as this server keeps no responses; send the whole conversation"
            raise ApiError(400, message, param=name, code="unsupported_parameter")
    if given.get("n", 1) != 1:
        raise ApiError(400, "n is not supported here, as a response is one answer; use /v1/chat/completions", param="n")
    ignored: list[str] = [name for name in _UNTOLD if name in given]
    body = {name: value for name, value in given.items() if name not in (*_OWN, *_UNTOLD)}
    body["messages"] = _messages(given)
    if "tools" in given:
        body["tools"] = [_tool(tool) for tool in _as_list(given["tools"], "tools")]
    for name in _as_list(given.get("include", []), "include"):
        if name == LOGPROBS:
            body["logprobs"] = True
        else:
            ignored.append(f"include.{name}")
    _translate_text(given.get("text"), body, ignored)
    return body, tuple(ignored)


def _translate_text(text: Any, body: dict[str, Any], ignored: list[str]) -> None:
    """Write the format of the text as that of a chat completion, whose own is ignored beside it."""
    if text is not None and not isinstance(text, dict):
        raise ApiError(400, f"text is {type(text).__name__}; it must be an object", param="text")
    own = text or {}
    ignored += [f"text.{name}" for name in own if name != "format" and own[name] is not None]
    if own.get("format") is not None:
        if "response_format" in body:
            ignored.append("response_format")
        body["response_format"] = _format(own["format"])


def _messages(given: dict[str, Any]) -> list[Any]:
    """Return the conversation as messages; calls and thoughts belong to the assistant's message beside them."""
    messages: list[Any] = []
    if given.get("instructions"):
        messages.append({"role": "system", "content": given["instructions"]})
    asked = given.get("input")
    if isinstance(asked, str):
        return [*messages, {"role": "user", "content": asked}]
    for number, item in enumerate(_as_list(asked, "input")):
        _add(item, messages, f"input.{number}")
    return messages


def _add(item: Any, messages: list[Any], place: str) -> None:
    kind = item.get("type", "message") if isinstance(item, dict) else None
    if kind == "message":
        message = {name: item[name] for name in item if name not in ("id", "type", "status")}
        if message.get("role") == "assistant" and _waits_for_text(messages):
            messages[-1] |= message
        else:
            messages.append(message)
    elif kind == "reasoning":
        _assistant(messages)["reasoning_content"] = _thoughts(item, place)
    elif kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        last = messages[-1] if messages and messages[-1].get("role") == "assistant" else _assistant(messages)
        last.setdefault("tool_calls", []).append(call)
    elif kind == "function_call_output":
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output") or ""})
    else:
        raise ApiError(400, f"{place}: items of the type {kind!r} are not supported", param="input")


def _assistant(messages: list[Any]) -> dict[str, Any]:
    """Begin an assistant's message."""
    messages.append({"role": "assistant"})
    begun: dict[str, Any] = messages[-1]
    return begun


def _waits_for_text(messages: list[Any]) -> bool:
    return bool(messages) and messages[-1].keys() == {"role", "reasoning_content"}


def _thoughts(item: dict[str, Any], place: str) -> str:
    parts = _as_list(item.get("content") or item.get("summary") or [], f"{place}.content")
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _tool(tool: Any) -> Any:
    """Write the definition of a function as chat completions have it."""
    if not isinstance(tool, dict) or tool.get("type") != "function":
        kind = tool.get("type") if isinstance(tool, dict) else tool
        raise ApiError(400, f"tools of the type {kind!r} are not supported; give functions", param="tools")
    if "function" in tool:
        return tool
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def _format(given: Any) -> Any:
    if not isinstance(given, dict) or given.get("type") != "json_schema" or "json_schema" in given:
        return given
    named = {name: value for name, value in given.items() if name != "type" and value is not None}
    return {"type": "json_schema", "json_schema": named}


def _as_list(given: Any, name: str) -> list[Any]:
    if not isinstance(given, list):
        raise ApiError(400, f"{name} is {type(given).__name__}; it must be a list", param=name)
    return given
