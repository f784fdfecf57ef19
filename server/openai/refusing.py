"""What is wrong with a request in one line, and the parameter that is at fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


# What a value must be, which pydantic says in words of Python.
_KINDS: Final = {
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "an object"),
    "list_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
}
# Types of parts are called otherwise in each API.
_OF_PARTS: Final = {
    "union_tag_invalid": "a part of the type {tag!r:.42} is not supported; send text, images or videos",
    "union_tag_not_found": "a part needs a type; send text, images or videos",
}


def refuse_names(names: Iterable[str]) -> None:
    """Raise `ApiError` 400 for the first of the names of parameters that would be ignored."""
    for name in names:
        message = f"{name} would be ignored, which this server refuses (--strict); leave it out"
        raise ApiError(400, message, param=name, code="unknown_parameter")


def refused(error: ValidationError, given: object) -> ApiError:
    """Return the error for `given`, which does not fit: where, and why."""
    errors = error.errors(include_url=False, include_input=False)
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
    if wrong["type"] in _KINDS:
        return f"it must be {' or '.join(kinds)}"
    if wrong["type"] in _OF_PARTS:
        return _OF_PARTS[wrong["type"]].format(**wrong.get("ctx", {}))
    return wrong["msg"].removeprefix("Value error, ")


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
