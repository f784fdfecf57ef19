"""The grammar of a call: whatever it lets a model write can be read as a call that fits its tool's parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from uhd_edge.runtime.errors import OptionError, SchemaError
from uhd_edge.runtime.schema.grammar import (
    MOST_REPETITIONS,
    Alternatives,
    Characters,
    Concatenation,
    Node,
    Repeat,
    Text,
    optional,
)
from uhd_edge.runtime.schema.merging import find_types
from uhd_edge.runtime.schema.pattern import pattern_node
from uhd_edge.runtime.schema.strings import FORMATS
from uhd_edge.runtime.schema.to_grammar import Conversion, build_grammar
from uhd_edge.runtime.tools.values import ALL_TYPES, find_value_types, is_plain_text
from uhd_edge.runtime.validation import shown_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from uhd_edge.runtime.schema.merging import Schema
    from uhd_edge.runtime.tools.call_format import CallFormat
    from uhd_edge.runtime.tools.tool_set import Tool

VALUE_END: Final = "</parameter>"

# What Python says of a schema in which something has a wrong type.
_OF_WRONG_SCHEMAS: Final = (TypeError, ValueError, AttributeError, KeyError, ArithmeticError)

# Any text but one that would end the value: what follows `<`, and what follows `</`, is limited.
_NOT_OPEN = Characters(((0x09, 0x0A), (0x20, 0x3B), (0x3D, 0x7E), (0xA0, 0xD7FF), (0xE000, 0x10FFFF)))
_NOT_SLASH = Characters(((0x09, 0x0A), (0x20, 0x2E), (0x30, 0x3B), (0x3D, 0x7E), (0xA0, 0xD7FF), (0xE000, 0x10FFFF)))
_NOT_P = Characters(((0x20, 0x3B), (0x3D, 0x6F), (0x71, 0x7E), (0xA0, 0xD7FF), (0xE000, 0x10FFFF)))
ANY_TEXT: Final = Repeat(
    Alternatives((_NOT_OPEN, Concatenation((Text("<"), _NOT_SLASH)), Concatenation((Text("</"), _NOT_P)))), 0, None
)


def build_call_grammar(tools: Sequence[Tool], call_format: CallFormat) -> str:
    """Return the grammar, in llama.cpp's notation, of what stands between the tags of a call to one of the tools.

    Raises `OptionError` for parameters that no call can fit, or that no grammar can express; it names the tool that has
    them, or several where they are too much together.
    """
    try:
        return _grammar(tools, call_format)
    except (SchemaError, RecursionError, *_OF_WRONG_SCHEMAS) as error:
        for tool in tools if len(tools) > 1 else ():
            build_call_grammar((tool,), call_format)
        parameters = f"the parameters of {shown_names([tool.name for tool in tools])}"
        told = f"{parameters} cannot be kept to: {error}"
        if isinstance(error, _OF_WRONG_SCHEMAS):
            told = f"{parameters} are no valid JSON schema ({type(error).__name__}: {error})"
        raise OptionError(told, parameter="tools") from error


def _grammar(tools: Sequence[Tool], call_format: CallFormat) -> str:
    definitions = {f"tool-{number}": _moved(tool.parameters, number) for number, tool in enumerate(tools)}
    root: dict[str, Any] = {"$defs": definitions}
    if call_format == "json":
        calls = [_json_call(tool.name, definitions[f"tool-{number}"]) for number, tool in enumerate(tools)]
        return build_grammar({**root, "anyOf": calls})
    conversion = Conversion(root)
    options = [
        _call(conversion, tool.name, branch, root)
        for number, tool in enumerate(tools)
        for branch in conversion.branches(definitions[f"tool-{number}"])
    ]
    return conversion.write_node(Alternatives(tuple(options)))


def _json_call(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    arguments = parameters if parameters.get("properties") else {"type": "object", "maxProperties": 0}
    properties = {"name": {"const": name}, "arguments": arguments}
    return {"type": "object", "properties": properties, "required": ["name", "arguments"]}


def _call(conversion: Conversion, name: str, parameters: Mapping[str, Any], root: Mapping[str, Any]) -> Node:
    parts: list[Node] = [Text(f"<function={name}>\n")]
    required = parameters.get("required", ())
    properties: dict[str, Schema] = parameters.get("properties", {})
    for key, schema in properties.items():
        if any(character in key for character in "<>\n") or not key:
            raise SchemaError(f"a parameter is named {key!r}; use letters, digits and underscores")
        value = Concatenation(
            (Text(f"<parameter={key}>\n"), _value(conversion, schema, root), Text(f"\n{VALUE_END}\n"))
        )
        parts.append(value if key in required else optional(value))
    if missing := [key for key in required if key not in properties]:
        raise SchemaError(f"{shown_names(missing)} is required, but not described")
    return Concatenation((*parts, Text("</function>")))


def _value(conversion: Conversion, schema: Schema, root: Mapping[str, Any]) -> Node:
    types = find_value_types(schema, root)
    if unknown := types - ALL_TYPES:
        raise SchemaError(f"{', '.join(sorted(map(str, unknown)))} is no type of JSON")
    if not is_plain_text(types):
        options: list[Node] = [conversion.rule(schema)]
    else:
        options = [node for branch in conversion.branches(schema) for node in _texts(branch)]
    if isinstance(schema, dict) and schema.get("nullable") is True:
        options.append(Text("null"))
    return Alternatives(tuple(options))


def _texts(branch: Mapping[str, Any]) -> list[Node]:
    """The ways to write a text of a schema without combinations, or a word of JSON that the schema takes too."""
    if "const" in branch or "enum" in branch:
        values = branch.get("enum", [branch.get("const")])
        shown = [value if isinstance(value, str) else json.dumps(value) for value in values]
        return [Text(value) for value in shown if VALUE_END not in value]
    words = {"boolean": ("true", "false"), "null": ("null",)}
    types = find_types(branch) or ["string"]
    found: list[Node] = [Text(word) for kind in types for word in words.get(kind, ())]
    return [*found, *([_text(branch)] if "string" in types else [])]


def _text(branch: Mapping[str, Any]) -> Node:
    """A text that fits the schema's pattern, format or lengths."""
    pattern = branch.get("pattern") or FORMATS.get(str(branch.get("format")))
    if isinstance(pattern, str):
        return _unescaped(pattern_node(pattern))
    if "minLength" not in branch and "maxLength" not in branch:
        return ANY_TEXT
    least, most = int(branch.get("minLength", 0)), branch.get("maxLength")
    if least > MOST_REPETITIONS:
        raise SchemaError(f"minLength is {least}; a value has at most {MOST_REPETITIONS} characters to fill")
    return Repeat(_NOT_OPEN, least, None if most is None else int(most))


def _unescaped(node: Node) -> Node:
    """A pattern of a JSON string as one of the text itself."""
    match node:
        case Text(text):
            return Text(json.loads(f'"{text}"'))
        case Concatenation(parts):
            return Concatenation(tuple(_unescaped(part) for part in parts))
        case Alternatives(options):
            return Alternatives(tuple(_unescaped(option) for option in options))
        case Repeat(part, least, most):
            return Repeat(_unescaped(part), least, most)
        case _:
            return node


def _moved(parameters: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The parameters with references that start where they will stand in the schema of all tools."""

    def moved(part: Any, *, names: bool = False) -> Any:
        if isinstance(part, list):
            return [moved(one) for one in part]
        if not isinstance(part, dict):
            return part
        if not names and isinstance(reference := part.get("$ref"), str) and reference.startswith("#"):
            part = {**part, "$ref": f"#/$defs/tool-{number}{reference[1:]}"}
        return {key: moved(value, names=key in ("properties", "$defs", "definitions")) for key, value in part.items()}

    copied: dict[str, Any] = moved(json.loads(json.dumps(dict(parameters))))
    return copied
