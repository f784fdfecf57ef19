"""The version of this package."""

from __future__ import annotations

DISTRIBUTION = "uhd-edge"
NOT_INSTALLED = "0+unknown"


def installed_version() -> str:
    """Read the version from the installed package's metadata; `0+unknown` in a checkout that is not installed."""
    from importlib import metadata  # takes longer to import than most of `uhd --help`

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return NOT_INSTALLED
