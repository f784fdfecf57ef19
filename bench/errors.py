"""The error of a measurement that fails."""

from __future__ import annotations

from uhd_edge.runtime.errors import UhdError


class BenchError(UhdError):
    """A measurement failed: its process ended, or there was not enough memory."""
