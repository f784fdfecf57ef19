"""What can go wrong with measuring itself."""

from __future__ import annotations

from uhd_edge.runtime.errors import UhdError


class BenchError(UhdError):
    """A measurement that could not be made: its process ended, or there is too little memory for it."""
