"""The body of `/v1/responses` becomes that of a chat completion: the same question in other words."""

from __future__ import annotations

from typing import Any, Final

from uhd_edge.server.errors import ApiError, shown, wrong_type
from uhd_edge.server.media.unseen import leave_out_others
from uhd_edge.server.openai.same_meaning import LOGPROBS
from uhd_edge.server.openai.sent_names import SentNames
from uhd_edge.server.responses.items import as_list, read_items

# The parameters that only responses have; all others are those of chat completions, or are ignored as there.
_OWN: Final = frozenset(("include", "input", "instructions", "max_tool_calls", "text"))

# What this server keeps nothing for, with the values that do not ask for it.
_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "background": (False,),
    "conversation": (),
    "previous_response_id": (),
    "prompt": (),
}

# What a response has no room for.
_UNTOLD: Final = ("messages", "details")


def as_chat_body(given: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...], SentNames]:
    """Return the body of a chat completion, with the names of what was left out and of what was translated.

    Raises `ApiError` 400 for what is not supported: conversations that the server would have to
    keep, tools that it would have to run, files, several answers.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if (truncation := given.pop("truncation", "auto")) not in ("auto", "disabled"):
        raise ApiError(400, f"truncation is {shown(truncation)}; it must be auto or disabled", param="truncation")
    for name, neutral in _NEUTRAL.items():
        if name in given and given.pop(name) not in neutral:
            message = f"{name} is not supported, as this server keeps no responses; send the whole conversation"
            raise ApiError(400, message, param=name, code="unsupported_parameter")
    if given.get("n", 1) != 1:
        raise ApiError(400, "n is not supported here, as a response is one answer; use /v1/chat/completions", param="n")
    ignored: list[str] = [name for name in _UNTOLD if name in given]
    body = {name: value for name, value in given.items() if name not in (*_OWN, *_UNTOLD)}
    names: dict[str, str] = {}
    body["messages"] = read_items(given, names, ignored)
    if "max_output_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_output_tokens")
        names["max_completion_tokens"] = "max_output_tokens"
    if "tools" in given:
        body["tools"] = [_tool(tool, f"tools.{n}") for n, tool in enumerate(as_list(given["tools"], "tools"))]
    for number, name in enumerate(as_list(given.get("include", []), "include")):
        if not isinstance(name, str):
            raise wrong_type(f"include.{number}", name, "text")
        if name == LOGPROBS:
            body["logprobs"] = True
        else:
            ignored.append(f"include.{name}")
    _translate_text(given.get("text"), body, ignored, names)
    _translate_reasoning(body, ignored, names)
    return body, tuple(ignored), SentNames(names)


def _translate_reasoning(body: dict[str, Any], ignored: list[str], names: dict[str, str]) -> None:
    """Write the effort as that of a chat completion; what other servers have in `reasoning` is left to it."""
    reasoning = body.get("reasoning")
    if reasoning is None:
        return
    if not isinstance(reasoning, dict):
        raise wrong_type("reasoning", reasoning, "an object")
    if (effort := reasoning.get("effort")) is not None and "reasoning_effort" not in body:
        body["reasoning_effort"], names["reasoning_effort"] = effort, "reasoning.effort"
    body["reasoning"] = {name: reasoning[name] for name in ("enabled", "max_tokens") if name in reasoning} or None
    leave_out_others("reasoning", reasoning, ("effort", "enabled", "max_tokens"), ignored)


def _translate_text(text: Any, body: dict[str, Any], ignored: list[str], names: dict[str, str]) -> None:
    """Write the format of the text as that of a chat completion."""
    if text is not None and not isinstance(text, dict):
        raise wrong_type("text", text, "an object")
    own = text or {}
    leave_out_others("text", own, ("format",), ignored)
    if own.get("format") is not None:
        body["response_format"] = _format(own["format"])
        names["response_format"] = "text.format"
        if body["response_format"] is not own["format"]:
            names["response_format.json_schema"] = "text.format"


def _tool(tool: Any, place: str) -> Any:
    """Write the definition of a function as chat completions have it."""
    if not isinstance(tool, dict):
        raise wrong_type(place, tool, "an object")
    if (kind := tool.get("type")) != "function":
        told = f"{place}: tools of the type {shown(kind)} are not supported; give functions"
        raise ApiError(400, told, param=place)
    if "function" in tool:
        return tool
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def _format(given: Any) -> Any:
    if not isinstance(given, dict) or given.get("type") != "json_schema" or "json_schema" in given:
        return given
    named = {name: value for name, value in given.items() if name != "type" and value is not None}
    return {"type": "json_schema", "json_schema": named}
