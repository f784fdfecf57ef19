"""What is given as tools is checked and read: functions with type hints, or definitions as in OpenAI's API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from uhd_edge.runtime.errors import OptionError, SchemaError
from uhd_edge.runtime.schema.plain_json import find_halved_text
from uhd_edge.runtime.schema.references import follow_references
from uhd_edge.runtime.tools.functions import describe_function
from uhd_edge.runtime.tools.tool_set import Tool, ToolSet
from uhd_edge.runtime.validation import shown_names

ToolInput: TypeAlias = "Callable[..., Any] | Mapping[str, Any] | Tool"

MOST_TOOLS = 128
MOST_CHARACTERS = 64 * 1024
# What clients tell a server about a definition. A model would read it as part of the function; `strict` makes calls
# fit the parameters, which they do here in any case.
_OF_CLIENTS = frozenset(("strict", "cache_control", "defer_loading"))
CHOICES = ("auto", "none", "required")
# A function's parameters in OpenAI's words, Anthropic's, MCP's and Gemini's.
PARAMETERS = ("parameters", "input_schema", "inputSchema", "parametersJsonSchema", "parameters_json_schema")
# Schemas in a definition that say what comes back.
_RESULTS = frozenset(("outputSchema", "output_schema", "response", "responseJsonSchema", "return", "returns"))
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def parse_tools(tools: Sequence[ToolInput] | None, choice: str, *, several: bool = True) -> ToolSet:
    """Check the tools of a question, each a function or a definition as in OpenAI's API; raises `OptionError`.

    `several` says that one answer may have more calls than one.
    """
    if not isinstance(several, bool):
        raise OptionError(
            f"parallel_tool_calls is {several!r}; it must be True or False", parameter="parallel_tool_calls"
        )
    given = () if tools is None else tools
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise OptionError(f"tools is {type(tools).__name__}; it must be a list of functions or definitions")
    if len(given) > MOST_TOOLS:
        raise OptionError(f"tools has {len(given)} entries; it may have {MOST_TOOLS}")
    parsed = tuple(_parse(tool, number) for number, tool in enumerate(given))
    names = [tool.name for tool in parsed]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise OptionError(f"tools has {repeated!r} more than once; give each tool a name of its own")
    if choice not in ("auto", "none") and not parsed:
        raise OptionError(f"tool_choice is {choice!r}, but there are no tools; give some", parameter="tool_choice")
    if choice not in (*CHOICES, *names):
        known = f"{', '.join(CHOICES)}, {shown_names(names)}"
        raise OptionError(f"tool_choice is {choice!r}; it must be one of {known}", parameter="tool_choice")
    return ToolSet(parsed, choice, several)


def _parse(tool: object, number: int) -> Tool:
    if isinstance(tool, Tool):
        return tool
    if callable(tool):
        definition = describe_function(tool)
    elif isinstance(tool, Mapping):
        definition = _as_json(tool, number)
    else:
        raise OptionError(f"tool {number} is {type(tool).__name__}; it must be a function, or its definition as a dict")
    if (halved := find_halved_text(definition)) is not None:
        raise OptionError(f"tool {number}: {halved[:40]!r} is not valid Unicode (it has half of a surrogate pair)")
    if (kind := definition.get("type", "function")) != "function":
        other = f"is of the type {kind!r:.42}, which is not supported"
        told = other if isinstance(kind, str) else "has a type that is no text"
        raise OptionError(f"tool {number} {told}; give functions")
    definition = _in_openais_form(definition)
    function = definition["function"]
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        told = "the name is missing" if name is None else "the name is no text"
        told = f"the name is {name!r}" if isinstance(name, str) else told
        raise OptionError(f"tool {number}: {told}; it must have 1 to 64 letters, digits, hyphens, dots and underscores")
    called = f"tool {number} ({name!r})"
    definition, parameters = _with_parameters(definition, called)
    try:
        followed = follow_references(parameters)
    except (SchemaError, RecursionError) as error:
        raise OptionError(f"{called}: the parameters cannot be kept to: {error}") from error
    return Tool(name, definition, followed if isinstance(followed, dict) else parameters)


def _in_openais_form(definition: dict[str, Any]) -> dict[str, Any]:
    """Put a function that is described beside its type into `function`, where chat templates look for it."""
    if "function" in definition:
        return definition
    return {"type": "function", "function": {name: value for name, value in definition.items() if name != "type"}}


def _with_parameters(definition: dict[str, Any], called: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a definition whose parameters are called so, and them; raises `OptionError` for two that differ.

    `called` is what errors call the tool.
    """
    function, outer = definition["function"], {key: value for key, value in definition.items() if key != "function"}
    given = [(key, place[key]) for place in (function, outer) for key in PARAMETERS if place.get(key) is not None]
    if differing := [key for key, value in given if value != given[0][1]]:
        raise OptionError(f"{called}: {differing[0]} and {given[0][0]} differ; give the parameters once")
    if not given:
        _require_no_other_schema(outer | function, called)
        return definition, _NO_PARAMETERS
    key, parameters = given[0]
    if not isinstance(parameters, dict):
        raise OptionError(f"{called}: {key} must be a JSON schema, and an object")
    function = {"parameters" if one in PARAMETERS else one: value for one, value in function.items()}
    beside = {one: value for one, value in outer.items() if one not in PARAMETERS}
    return {**beside, "function": {**function, "parameters": parameters}}, parameters or _NO_PARAMETERS


def _require_no_other_schema(function: dict[str, Any], called: str) -> None:
    """Raise `OptionError` if what may be the parameters has a name that is not known, which would lose them."""
    for key, value in function.items():
        if isinstance(value, dict) and isinstance(value.get("properties"), dict) and key not in _RESULTS:
            raise OptionError(f"{called}: {key[:40]} is not known; if it is the schema of a call, name it parameters")


def _as_json(tool: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A copy that nobody else can change, that is JSON, and that has nothing but what the model is to read."""
    function = tool.get("function")
    told = _told(tool) | ({"function": _told(function)} if isinstance(function, Mapping) else {})
    try:
        text = json.dumps(told, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise OptionError(f"tool {number} is no JSON ({error})") from error
    if len(text) > MOST_CHARACTERS:
        raise OptionError(f"tool {number} has {len(text)} characters, more than {MOST_CHARACTERS}; shorten it")
    copied: dict[str, Any] = json.loads(text)
    return copied


def _told(definition: Mapping[str, Any]) -> dict[str, Any]:
    """What a definition tells the model."""
    return {name: value for name, value in definition.items() if value is not None and name not in _OF_CLIENTS}
