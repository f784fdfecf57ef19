"""The body of `/v1/responses` becomes that of a chat completion: the same question in other words."""

from __future__ import annotations

from typing import Any, Final

from uhd_edge.server.errors import ApiError

_SAME_NAME: Final = (
    *("model", "stream", "temperature", "top_p", "top_logprobs", "parallel_tool_calls", "tool_choice", "user"),
    *("metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "seed", "stop", "think"),
    *("top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "logit_bias", "mode"),
    *("max_slices", "budget_ms", "budget_share", "think_tokens", "chat_template_kwargs", "min_pixels", "max_pixels"),
)

# What this server keeps nothing for, with the values that do not ask for it.
_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "background": (False,),
    "conversation": (),
    "previous_response_id": (),
    "prompt": (),
    "truncation": ("disabled", "auto"),
}
_QUIET: Final = frozenset(("include", "input", "instructions", "max_output_tokens", "reasoning", "text", "tools"))


def as_chat_body(given: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the body of a chat completion, and the names of what was left out.

    Raises `ApiError` 400 for what is not supported: conversations that the server would have to
    keep, tools that it would have to run, files.
    """
    given = {name: value for name, value in given.items() if value is not None}
    for name, neutral in _NEUTRAL.items():
        if name in given and given.pop(name) not in neutral:
            message = f"{name} is not supported, as this server keeps no responses; send the whole conversation"
            raise ApiError(400, message, param=name, code="unsupported_parameter")
    body: dict[str, Any] = {name: given[name] for name in _SAME_NAME if name in given}
    if "max_output_tokens" in given:
        body["max_completion_tokens"] = given["max_output_tokens"]
    body["messages"] = _messages(given)
    if "tools" in given:
        body["tools"] = [_tool(tool) for tool in _as_list(given["tools"], "tools")]
    if isinstance(choice := body.get("tool_choice"), dict) and choice.get("type") == "function":
        body["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    if isinstance(reasoning := given.get("reasoning"), dict):
        body["reasoning_effort"] = reasoning.get("effort")
    if "message.output_text.logprobs" in (given.get("include") or ()):
        body["logprobs"] = True
    ignored = [name for name in given if name not in _SAME_NAME and name not in _QUIET]
    if isinstance(text := given.get("text"), dict):
        body["response_format"] = _format(text.get("format"))
        ignored += [f"text.{name}" for name in text if name != "format" and text[name] is not None]
    return body, tuple(ignored)


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
        _assistant(messages)["reasoning_content"] = _thoughts(item)
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


def _thoughts(item: dict[str, Any]) -> str:
    parts = item.get("content") or item.get("summary") or ()
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
