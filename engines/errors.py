"""The base of every error of this project, and the errors of engines.

They live here because engines import nothing else of ours; `uhd_edge.runtime.errors`
gathers the whole family for callers.
"""

from __future__ import annotations


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
