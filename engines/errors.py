"""The base class of all errors in this project, and the errors of engines.

They live here because `engines` imports no other part of the project. Callers find all
errors in `uhd_edge.runtime.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UhdError(Exception):
    """Base class of every error raised on purpose.

    The message is one line for the user: what went wrong, where, and what to do about it.
    """


class EngineError(UhdError):
    """An engine could not be opened, got a wrong input, or returned an invalid result."""


class EngineResultError(EngineError):
    """An engine ran and returned what cannot be right, such as NaN: it would do so again."""


class EngineUnavailableError(EngineError):
    """The requested engine, provider or precision is not available on this machine."""


class EngineBuildError(EngineError):
    """An engine could not be built; no partial file is left behind."""


class EngineRefusedError(EngineError):
    """An engine or a build request does not fit the graph, the machine or the target; the message says which."""


class MissingExtraError(UhdError):
    """An optional dependency is not installed; the message contains the `pip install` command."""


def first_wrong_field(error: ValidationError) -> str:
    """Describe the first invalid field of a file in one line: its name and what is wrong with it."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "the file"
    return " ".join(f"{field}: {first['msg']}".split())  # a key may contain a line break
