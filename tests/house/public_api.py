"""The public API as one page of text: every name that users may rely on, with its signature.

Run this file from the repository to print the page. `public_api.txt` is the agreed version.
"""

from __future__ import annotations

import inspect
from dataclasses import is_dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, is_typeddict

from uhd_edge.runtime.options import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

# The names of the package itself, all errors, and the other types that its methods take and return.
MODULES: dict[str, tuple[str, ...] | None] = {
    "uhd_edge": None,
    "uhd_edge.runtime.errors": None,
    "uhd_edge.runtime.options": ("AskOptions",),
    "uhd_edge.runtime.answer": ("EncodedView",),
    "uhd_edge.runtime.async_assistant": ("AsyncAnswerStream", "OpenOptions"),
    "uhd_edge.runtime.conversation.answer_stream": ("AnswerStream",),
    "uhd_edge.runtime.schema.answer_schema": ("AnswerSchema", "answer_schema"),
    "uhd_edge.runtime.watch": ("WatchResult", "watch"),
}

# Methods return these. Users do not construct them.
NOT_CONSTRUCTED = ("AnswerSchema", "AnswerStream", "AsyncAnswerStream", "Session")

# These have no underscore because other folders of the package use them.
INTERNAL = ("VisionEncoder.encode_planned", "VisionEncoder.keep_verdict", "VisionEncoder.open_mode")

USES = {"__enter__": "with", "__next__": "for", "__aenter__": "async with", "__aiter__": "async for"}


def public_api() -> str:
    """Every public name with its signature, in the order of `MODULES`."""
    seen: dict[int, str] = {}
    lines = []
    for module, names in MODULES.items():
        for name in import_module(module).__all__ if names is None else names:
            value = getattr(import_module(module), name)
            first = seen.setdefault(id(value), f"{module}.{name}")
            lines += _described(first, value) if first == f"{module}.{name}" else [f"{module}.{name} = {first}"]
    return "\n".join(lines) + "\n"


def _described(name: str, value: Any) -> Iterator[str]:
    if is_typeddict(value):
        yield f"class {name}(TypedDict)"
        yield from (f"    {key}: {_shown(annotation)}" for key, annotation in value.__annotations__.items())
    elif isinstance(value, type):
        yield from _class(name, value)
    elif callable(value):
        yield f"{name}{_signature(value)}"
    else:
        yield f"{name}: {type(value).__name__}"


def _class(name: str, cls: type) -> Iterator[str]:
    if issubclass(cls, Exception | str):
        yield f"class {name}({', '.join(base.__name__ for base in cls.__bases__)})"
        return
    yield f"class {name}" + ("" if cls.__name__ in NOT_CONSTRUCTED else _signature(cls))
    if not is_dataclass(cls):
        held = vars(cls).get("__annotations__", {})
        yield from (f"    {name}: {_shown(annotation)}" for name, annotation in held.items() if name[0] != "_")
    yield from (f"    {use}" for method, use in USES.items() if hasattr(cls, method))
    for member, value in vars(cls).items():
        if member.startswith("_") or f"{cls.__name__}.{member}" in INTERNAL:
            continue
        if isinstance(value, property):
            returned = _shown(inspect.signature(value.fget).return_annotation)  # type: ignore[arg-type]
            yield f"    {member}: {returned}{_deprecation(value.fget)}"
        elif inspect.isroutine(value):
            awaited = "async " if inspect.iscoroutinefunction(value) else ""
            yield f"    {awaited}{member}{_signature(getattr(cls, member))}{_deprecation(value)}"


def _deprecation(function: Any) -> str:
    """The mark of a member that warns when it is used."""
    names = getattr(function, "__func__", function).__code__.co_names
    return "  # deprecated" if "warn_renamed" in names else ""


def _signature(function: Any) -> str:
    """The signature as in the source, but with all settings of a question as `**options: AskOptions`."""
    signature = inspect.signature(function)
    parameters = [one for one in signature.parameters.values() if one.name != "self"]
    settings = {one.name: one.default for one in parameters[-len(DEFAULTS) :]}
    shown = [_parameter(one) for one in parameters]
    if settings == DEFAULTS:
        shown[-len(DEFAULTS) :] = ["**options: AskOptions"]
        parameters = parameters[: -len(DEFAULTS)]
    keyword_only = [number for number, one in enumerate(parameters) if one.kind is one.KEYWORD_ONLY]
    if keyword_only:
        shown.insert(keyword_only[0], "*")
    returned = "" if isinstance(function, type) else f" -> {_shown(signature.return_annotation)}"
    return f"({', '.join(shown)}){returned}"


def _parameter(one: inspect.Parameter) -> str:
    stars = "**" if one.kind is one.VAR_KEYWORD else ""
    default = "..." if callable(one.default) else repr(one.default)
    return f"{stars}{one.name}: {_shown(one.annotation)}" + ("" if one.default is one.empty else f" = {default}")


def _shown(annotation: Any) -> str:
    """An annotation as in the source, with any version of Python."""
    return str(getattr(annotation, "__forward_arg__", annotation))


if __name__ == "__main__":
    print(public_api(), end="")
