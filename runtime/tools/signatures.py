"""What a function is called, which arguments a call has to name, and the types that its hints give them."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Of the parameters that a call, which names its arguments, cannot give: why, and what to do.
_UNNAMED = {
    inspect.Parameter.POSITIONAL_ONLY: "can be given by its place alone, as a / stands behind it, but a call names its "
    "arguments; take out the /",
    inspect.Parameter.VAR_POSITIONAL: "takes any number of arguments, which a call cannot name; take a list instead",
    inspect.Parameter.VAR_KEYWORD: "takes arguments of any name, but a model has to be told their names; name every "
    "parameter",
}


@dataclass(frozen=True)
class Signature:
    """A function's `name` and docstring, and the `parameters` that are open; `hints` has "return" too."""

    name: str
    documentation: str
    hints: Mapping[str, Any]
    parameters: tuple[inspect.Parameter, ...]


def read_signature(function: Callable[..., Any]) -> Signature:
    """Return the signature of a function, a method, a `functools.partial` or an object with `__call__`.

    What a partial has set already is left out. Raises `OptionError` for a class, for a
    method without its object, for parameters that a call cannot name, and where Python does not know the signature.
    """
    inner, bound = _without_partials(function)
    name: str = getattr(inner, "__name__", type(inner).__name__)
    if isinstance(inner, type):
        raise OptionError(
            f"{name} is a class, and calling it would make an object; give a function, or a method of an object"
        )
    called = inner if inspect.isroutine(inner) or hasattr(inner, "__wrapped__") else type(inner).__call__
    try:
        hints = get_type_hints(called)
        parameters = [one for one in inspect.signature(function).parameters.values() if one.name not in bound]
    except Exception as error:  # a hint in quotes is an expression, which may raise anything
        shown = " ".join(str(error).split()) or type(error).__name__
        raise OptionError(f"{name} cannot be described: {shown}") from error
    if parameters and parameters[0].name in ("self", "cls") and parameters[0].name not in hints:
        raise OptionError(
            f"{name}: nothing is bound to {parameters[0].name}, so this is a method without its object; "
            f"give the object's own, such as robot.{name}"
        )
    for parameter in parameters:
        if parameter.kind in _UNNAMED:
            shown = str(parameter.replace(annotation=inspect.Parameter.empty, default=inspect.Parameter.empty))
            raise OptionError(f"{name}: {shown} {_UNNAMED[parameter.kind]}")
    return Signature(name, inspect.getdoc(called) or "", hints, tuple(parameters))


def _without_partials(function: Callable[..., Any]) -> tuple[Callable[..., Any], frozenset[str]]:
    """The function within partials, and the names of the arguments that these set by name."""
    bound: frozenset[str] = frozenset()
    while isinstance(function, functools.partial):
        bound |= function.keywords.keys()
        function = function.func
    return function, bound
