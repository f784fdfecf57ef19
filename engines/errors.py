"""The base of every error of this project, and the errors of engines.

They live here because engines import nothing else of ours; `uhd_edge.runtime.errors`
gathers the whole family for callers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UhdError(Exception):
    """Base of every error raised on purpose.

    The message is one line for the person at the keyboard: what was wrong, where, and
    what to do about it.
    """


class EngineError(UhdError):
    """An engine could not be opened, was given a wrong input, or returned nonsense."""


class EngineUnavailableError(EngineError):
    """The asked-for engine, provider or precision is not to be had on this machine."""


class EngineBuildError(EngineError):
    """An engine could not be built; none is left behind."""


class EngineRefusedError(EngineError):
    """An engine, or the wish for one, that does not fit the graph, the machine or the target; says which."""


class MissingExtraError(UhdError):
    """An optional dependency is not installed; the message holds the `pip install` line."""


def first_wrong_field(error: ValidationError) -> str:
    """Name the first field that a file has wrong and say what is wrong with it, in one line."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "the file"
    return " ".join(f"{field}: {first['msg']}".split())  # a key may hold a line break
