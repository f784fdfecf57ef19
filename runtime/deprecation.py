"""Old names, which work for one more release and say what to use instead."""

from __future__ import annotations

import warnings


def warn_renamed(old: str, new: str) -> None:
    """Warn, where the old name is used, that it has been renamed."""
    message = f"{old} is now called {new}; the old name goes away with the next release"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
