"""What can go wrong with an evaluation itself."""

from __future__ import annotations

from uhd_edge.runtime.errors import UhdError


class DataSetError(UhdError):
    """A data set that is missing, of an unknown kind, or has a row that cannot be asked; the message says which."""


class ResultsError(UhdError):
    """A file of answers that belongs to another run, or that another process is writing."""
