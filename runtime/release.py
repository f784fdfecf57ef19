"""Versions of installed packages, this one's above all, and names that were changed in this release."""

from __future__ import annotations

import warnings

DISTRIBUTION = "uhd-edge"
NOT_INSTALLED = "0+unknown"


def installed_version() -> str:
    """Read the version from the installed package's metadata; `0+unknown` in a checkout that is not installed."""
    return version_of(DISTRIBUTION) or NOT_INSTALLED


def version_of(distribution: str) -> str | None:
    """Read the version of an installed distribution; None when it is not installed."""
    from importlib import metadata  # takes longer to import than most of `uhd --help`

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def warn_renamed(old: str, new: str) -> None:
    """Warn, where the old name is used, that it has been renamed; it works for one more release."""
    message = f"{old} is now called {new}; the old name goes away with the next release"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
