"""A Python function as the JSON definition that chat templates take.

The definition is the one of `transformers.utils.get_json_schema`, which models have seen in
training: name, description and parameters, from type hints and a docstring in Google's style.
Unlike there, descriptions may be missing.
"""

from __future__ import annotations

import inspect
import re
import types
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.tools.signatures import read_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLAIN: dict[object, dict[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    dict: {"type": "object"},
    Any: {},
}
_SCALARS = (int, float, str, bool, type(None))

_SECTION = re.compile(r"^(Args|Returns|Raises):[ \t]*$", re.MULTILINE)
_ARGUMENT = re.compile(r"^([ \t]*)(\w+):\s*(.*?)\s*(?=^(?!\1[ \t])[ \t]*\w+:|\Z)", re.MULTILINE | re.DOTALL)
_CHOICES = re.compile(r"\(choices:\s*(\[.*\])\)\s*$", re.IGNORECASE)


def describe_function(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the definition of a function, or whatever else `read_signature` takes.

    Raises `OptionError` for what it refuses, and for a parameter without a usable type hint.
    """
    signature = read_signature(function)
    name, hints, parameters = signature.name, signature.hints, signature.parameters
    sections = _sections(signature.documentation)
    described: dict[str, Any] = {"name": name}
    if sections[""]:
        described["description"] = sections[""]
    arguments = _arguments(sections.get("Args", ""))
    properties = {}
    for parameter in parameters:
        if parameter.name not in hints:
            raise OptionError(f"{name}: the parameter {parameter.name} has no type hint, so it cannot be described")
        properties[parameter.name] = _property(hints[parameter.name], arguments.get(parameter.name), name, parameter)
    described["parameters"] = {"type": "object", "properties": properties}
    if required := [one.name for one in parameters if one.default is inspect.Parameter.empty]:
        described["parameters"]["required"] = required
    if (returned := _returned(hints, sections.get("Returns"))) is not None:
        described["return"] = returned
    return {"type": "function", "function": described}


def _property(hint: object, said: str | None, function: str, parameter: inspect.Parameter) -> dict[str, Any]:
    schema = _schema(hint)
    if schema is None:
        raise OptionError(
            f"{function}: the type of {parameter.name} has no JSON schema; use int, float, str, bool, Literal, Enum, "
            "list, tuple or dict, or give the tool's definition as a dict"
        )
    if said is None:
        return schema
    if choices := _CHOICES.search(said):
        schema["enum"] = _read_choices(choices.group(1), f"{function}: the choices of {parameter.name}")
        said = said[: choices.start()].strip()
    return {**schema, "description": said}


def _read_choices(text: str, name: str) -> list[Any]:
    """The values of a list in JSON; an `OptionError` calls it `name`."""
    import json

    try:
        values: list[Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OptionError(f'{name} are {text:.80}, which is no JSON; write them as in ["left", "right"]') from error
    return [one.strip() if isinstance(one, str) else one for one in values]


def _returned(hints: Mapping[str, Any], said: str | None) -> dict[str, Any] | None:
    if "return" not in hints or (schema := _schema(hints["return"])) is None:
        return None
    return schema if said is None else {**schema, "description": said.strip()}


def _schema(hint: Any) -> dict[str, Any] | None:
    """The JSON schema of a type hint, in the words of transformers; None where there is none."""
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _listed([member.value for member in hint])
    if origin is None:
        plain = next((schema for kind, schema in _PLAIN.items() if kind is hint), None)
        return None if plain is None else dict(plain)
    if origin is Literal:
        return _listed(list(arguments))
    if origin in (Union, types.UnionType):
        return _union(arguments)
    return _container(origin, arguments)


def _container(origin: object, arguments: tuple[Any, ...]) -> dict[str, Any] | None:
    parts = [_schema(argument) for argument in arguments]  # of `...` there is none
    if any(part is None for part in parts):
        return None
    if origin is list:
        return {"type": "array", "items": parts[0]}
    if origin is dict:
        return {"type": "object", "additionalProperties": parts[1]}
    return {"type": "array", "prefixItems": parts} if origin is tuple and len(parts) > 1 else None


def _listed(values: list[Any]) -> dict[str, Any] | None:
    if not values or any(type(value) not in _SCALARS for value in values):
        return None
    names = list(dict.fromkeys(_PLAIN[type(value)]["type"] for value in values))
    return {"type": names[0] if len(names) == 1 else names, "enum": values}


def _union(arguments: tuple[Any, ...]) -> dict[str, Any] | None:
    parts = [_schema(argument) for argument in arguments if argument is not type(None)]
    if not parts or any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    if len(known) == 1:
        schema = known[0]
    elif all(part.keys() == {"type"} and isinstance(part["type"], str) for part in known):
        names = sorted({part["type"] for part in known})
        schema = {"type": names[0] if len(names) == 1 else names}
    else:
        schema = {"anyOf": known}
    return {**schema, "nullable": True} if type(None) in arguments else schema


def _sections(documentation: str) -> dict[str, str]:
    """Split a docstring at its section headings; what stands before the first has the name ""."""
    pieces = _SECTION.split(documentation.strip())
    named = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    return {"": pieces[0].strip(), **{name: text.strip("\n") for name, text in named.items()}}


def _arguments(section: str) -> dict[str, str]:
    """The descriptions of arguments, each in one line."""
    text = "\n".join(line for line in section.splitlines() if line.strip())
    return {name: re.sub(r"\s*\n+\s*", " ", said.strip()) for _, name, said in _ARGUMENT.findall(text)}
