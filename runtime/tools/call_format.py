"""How a chat template writes calls of tools, and the call that a text holds.

Two ways are known, each between `<tool_call>` and `</tool_call>`. Qwen3.5 and MiniCPM-V 4.6 write
tags, with each value on lines of its own:

    <function=move>
    <parameter=metres>
    1.5
    </parameter>
    </function>

Qwen3 writes JSON:

    {"name": "move", "arguments": {"metres": 1.5}}
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Literal

from uhd_edge.runtime.answer import ToolCall
from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from uhd_edge.runtime.tools.tool_set import Tool

CallFormat = Literal["tags", "json"]

CALL_START: Final = "<tool_call>"
CALL_END: Final = "</tool_call>"

# Characters of a call in an error's message.
SHOWN: Final = 200

_FUNCTION = re.compile(r"\s*<function=([^>\n]+)>\n?(.*?)\s*</function>\s*", re.DOTALL)
_PARAMETER = re.compile(r"\s*<parameter=([^>\n]+)>\n(.*?)\n</parameter>(?=\s*<parameter=|\s*\Z)", re.DOTALL)


def find_call_format(chat_template: str) -> CallFormat:
    """Return how a chat template writes calls; raises `OptionError` for one that does not take tools."""
    if CALL_START in chat_template and re.search(r"\btools\b", chat_template):
        if "<function=" in chat_template:
            return "tags"
        if "arguments" in chat_template:
            return "json"
    message = "this model cannot call functions, as its chat template does not take tools; leave out tools"
    raise OptionError(message, parameter="tools")


def find_begun_call(text: str) -> str:
    """Return the beginning of the call that stays in a text as it could not be read, in quotes; empty without one.

    The tag of a call begins a line, as nothing in JSON does.
    """
    found = re.search(rf"^[ \t]*({CALL_START}.{{0,{SHOWN}}})(.?)", text, re.DOTALL | re.MULTILINE)
    return "" if found is None else f"{found[1]!r}" + (".." if found[2] else "")


def read_call(text: str, tools: Sequence[Tool], call_format: CallFormat) -> ToolCall | None:
    """Return the call in a text from between the tags; None where there is none of these tools."""
    by_name = {tool.name: tool for tool in tools}
    if call_format == "json":
        return _read_json(text, by_name)
    found = _FUNCTION.fullmatch(text)
    if found is None or found[1] not in by_name:
        return None
    arguments = _read_parameters(found[2], by_name[found[1]])
    return None if arguments is None else ToolCall(found[1], arguments)


def _read_json(text: str, tools: Mapping[str, Tool]) -> ToolCall | None:
    try:
        call = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(call, dict) or call.get("name") not in tools or not isinstance(call.get("arguments"), dict):
        return None
    return ToolCall(call["name"], call["arguments"])


def _read_parameters(text: str, tool: Tool) -> dict[str, Any] | None:
    from uhd_edge.runtime.tools.values import read_value  # which questions without tools do without

    properties = tool.parameters.get("properties", {})
    arguments: dict[str, Any] = {}
    at = 0
    while found := _PARAMETER.match(text, at):
        if found[1] in arguments:
            return None
        arguments[found[1]] = read_value(found[2], properties.get(found[1], True), tool.parameters)
        at = found.end()
    return None if text[at:].strip() else arguments
