"""What can go wrong with files of questions and of answers."""

from __future__ import annotations

from uhd_edge.runtime.errors import UhdError


class DataSetError(UhdError):
    """Questions or pictures that are missing, of an unknown kind, or not readable; the message says which."""


class ResultsError(UhdError):
    """A file of answers that belongs to another run, or that another process is writing."""
