"""What is wrong with a request in one line, and the parameter that is at fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from uhd_edge.server.errors import ApiError, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


# What a value must be, which pydantic says in words of Python.
_KINDS: Final = {
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "an object"),
    **dict.fromkeys(("int_type", "int_from_float"), "a whole number"),
    "float_type": "a number",
    "list_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
}
# What else may be wrong with it; the names in brackets are pydantic's.
_LIMITS: Final = {
    "greater_than": "it must be above {gt:g}",
    "less_than_equal": "it must be at most {le:g}",
    "too_short": "it is empty; it must have at least {min_length}",
    "missing": "it is missing",
    "union_tag_not_found": "a part needs a type; send text, images or videos",
}


def refuse_names(names: Iterable[str]) -> None:
    """Raise `ApiError` 400 for the first of the names of parameters that would be ignored."""
    for name in names:
        message = f"{name} would be ignored, which this server refuses (--strict); leave it out"
        raise ApiError(400, message, param=name, code="unknown_parameter")


def refused(error: ValidationError, given: object) -> ApiError:
    """Return the error for `given`, which does not fit: where, and why."""
    errors = error.errors(include_url=False)
    places = [tuple(_place(one["loc"], given, missing=one["type"] == "missing")) for one in errors]
    # Where there are several forms, each says why it is not that one; the one that fits best is wrong the deepest.
    fits = [one for one in range(len(errors)) if places[one][: len(places[0])] == places[0]]
    deepest = max(fits, key=lambda one: (len(places[one]), errors[one]["type"] == "too_long"))
    place, wrong = ".".join(places[deepest]), errors[deepest]
    if wrong["type"] == "extra_forbidden":
        return ApiError(400, f"{place} is not a parameter of this server", param=place, code="unknown_parameter")
    if wrong["type"] == "too_long":
        told = wrong.get("ctx", {})
        return ApiError(
            400, f"{place} has {told.get('actual_length')} items; at most {told.get('max_length')} may be", param=place
        )
    here = [one["type"] for one, at in zip(errors, places, strict=True) if at == places[deepest]]
    return ApiError(400, f"{place}: {_why(wrong, here, content=places[deepest][-1:] == ('content',))}", param=place)


def _why(wrong: ErrorDetails, here: Sequence[str], *, content: bool) -> str:
    """Say what is wrong at a place, where there may be several kinds; of a `content` pydantic knows one."""
    kinds = [_KINDS[kind] for kind in dict.fromkeys(here) if kind in _KINDS]
    if content and kinds == ["a list"]:
        return "it must be text or a list of parts"
    told = wrong.get("ctx", {})
    if wrong["type"] in _KINDS:
        return f"it must be {' or '.join(kinds)}"
    if wrong["type"] in _LIMITS:
        return _LIMITS[wrong["type"]].format(**told)
    if wrong["type"] == "literal_error":
        return f"it must be {told['expected'].replace(chr(39), '')}"
    if wrong["type"] == "union_tag_invalid":  # types of parts are called otherwise in each API
        kind = shown(wrong["input"]["type"])
        return f"a part of the type {kind} is not supported; send text, images or videos"
    return str(told["error"]) if wrong["type"] == "value_error" else "it cannot be read"


def _place(loc: Sequence[str | int], given: Any, *, missing: bool) -> Iterator[str]:
    """Yield where in a request an error is; names of pydantic's types, which stand between, are no place in it."""
    for number, part in enumerate(loc, 1):
        if _is_tag(loc, number - 1, given):
            continue
        has_it = part in given if isinstance(given, dict) else isinstance(given, list) and isinstance(part, int)
        if has_it:
            given = cast("Any", given)[part]
        if has_it or (missing and number == len(loc)):
            yield str(part)


def _is_tag(loc: Sequence[str | int], at: int, given: Any) -> bool:
    """Whether a part's type stands there, which pydantic puts between the part and its fields of the same names."""
    is_of_part = at >= 2 and loc[at - 2] == "content" and isinstance(loc[at - 1], int)
    return is_of_part and isinstance(given, dict) and given.get("type") == loc[at]
