"""Which of a request's tools may be called, in OpenAI's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.tools.given_tools import CHOICES, parse_tools
from uhd_edge.server.errors import ApiError, shown
from uhd_edge.server.media.unseen import leave_out_others

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.tools.tool_set import Tool
    from uhd_edge.server.openai.chat_request import ChatRequest

# What comes with a call, and goes back with it.
_OF_CALLS: Final = ("id", "type", "index", "function", "extra_content", "provider_specific_fields")
_OF_CALLED: Final = ("name", "arguments", "index", "parsed_arguments")


def read_tools(request: ChatRequest, *, model_calls: bool) -> tuple[tuple[Tool, ...] | None, str | None]:
    """Return the tools and the choice among them, checked so that an error names its parameter.

    A model that calls no functions has none where none may be called.
    """
    choice, allowed = _read_choice("auto" if request.tool_choice is None else request.tool_choice)
    if request.tools is None and choice in ("auto", "none"):
        return None, None
    try:
        tools = parse_tools(request.tools, choice).tools
    except OptionError as error:
        raise _of_tools(error) from error
    if choice == "none" and not model_calls:
        return None, None
    return (tools if allowed is None else _only(tools, allowed)), choice


def left_out_of_tools(request: ChatRequest) -> list[str]:
    """Name what counts for nothing in the choice of tools, and in calls that are sent back."""
    ignored: list[str] = []
    for number, message in enumerate(request.messages):
        for which, call in enumerate(message.tool_calls):
            _leave_out(f"messages.{number}.tool_calls.{which}", call, _OF_CALLS, _OF_CALLED, ignored)
    if isinstance(choice := request.tool_choice, dict):
        known = ("type", "function", "name", "allowed_tools", "mode", "tools")
        _leave_out("tool_choice", choice, known, ("name",), ignored)
        place, inner = "tool_choice", choice
        if isinstance(allowed := choice.get("allowed_tools"), dict):
            place, inner = "tool_choice.allowed_tools", allowed
            leave_out_others(place, allowed, ("mode", "tools"), ignored)
        tools = inner.get("tools")
        for number, tool in enumerate(tools if isinstance(tools, list) else ()):
            _leave_out(
                f"{place}.tools.{number}",
                tool if isinstance(tool, dict) else {},
                ("type", "function", "name"),
                ("name",),
                ignored,
            )
    return ignored


def _leave_out(
    place: str, given: dict[str, Any], known: tuple[str, ...], inner: tuple[str, ...], ignored: list[str]
) -> None:
    """Leave out what is not known of an object that names a function, and within that."""
    leave_out_others(place, given, known, ignored)
    if isinstance(function := given.get("function"), dict):
        leave_out_others(f"{place}.function", function, inner, ignored)


def _of_tools(error: OptionError) -> ApiError:
    """Name the tool by its place, or the parameter that an error is about."""
    name, told = error.parameter or "tools", str(error)
    if found := re.match(r"tool (\d+)( \('[\w.-]+'\))?(?=[ :])", told):
        name = f"tools.{found[1]}"
        return ApiError(400, name + told[found.end() :], param=name)
    return ApiError(400, told if told.startswith(name) else f"{name}: {told}", param=name)


def _read_choice(given: str | dict[str, Any]) -> tuple[str, list[str] | None]:
    """Return a choice, and the names of the tools that it is limited to."""
    if isinstance(given, str):
        if given not in CHOICES:
            raise _wrong(f"tool_choice is {shown(given)}; it must be one of {', '.join(CHOICES)}, or an object")
        return given, None
    kind = given.get("type")
    if kind == "function":
        return _name(given), None
    if kind != "allowed_tools":
        raise _wrong(f"tool_choice is of the type {shown(kind)}; it must be function or allowed_tools")
    inner = given.get("allowed_tools", given)  # which `/v1/responses` does without
    tools = inner.get("tools") if isinstance(inner, dict) else None
    mode = inner.get("mode", "auto") if isinstance(inner, dict) else None
    if not isinstance(tools, list) or not tools or mode not in ("auto", "required"):
        raise _wrong('tool_choice of the type allowed_tools needs a mode, "auto" or "required", and a list of tools')
    return mode, [_name(tool) for tool in tools]


def _inner(given: Any) -> dict[str, Any]:
    """Return what describes a function, within it or beside its type."""
    inner = given.get("function", given) if isinstance(given, dict) else None
    return inner if isinstance(inner, dict) else {}


def _name(given: Any) -> str:
    name = _inner(given).get("name")
    if not isinstance(name, str):
        raise _wrong("tool_choice must name its function")
    return name


def _only(tools: Sequence[Tool], names: Sequence[str]) -> tuple[Tool, ...]:
    known = [tool.name for tool in tools]
    if unknown := next((name for name in names if name not in known), None):
        raise _wrong(f"tool_choice allows {unknown[:64]!r}, which is none of the tools")
    return tuple(tool for tool in tools if tool.name in names)


def _wrong(message: str) -> ApiError:
    return ApiError(400, message, param="tool_choice")
