"""The SHA-256 of a file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 2**20  # bytes read at a time


def compute_sha256(file: Path) -> str:
    """Compute the hexadecimal SHA-256 of a file; raises `OSError` if it cannot be read."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
