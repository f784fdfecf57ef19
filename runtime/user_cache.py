"""Where this program keeps what it can make again: fetched sources, measured costs."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """`uhd-edge` below `$XDG_CACHE_HOME`, or below `~/.cache` without it; it need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "uhd-edge"
