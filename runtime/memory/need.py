"""What a process takes in memory at its peak, part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# How far a prediction may be from what is measured; a setting only counts as fitting with this much room.
MARGIN = 0.15


@dataclass(frozen=True)
class MemoryPart:
    """One part: `bytes` of it, and the `source` of that number in words."""

    name: str
    bytes: int
    source: str


@dataclass(frozen=True)
class MemoryNeed:
    """What is held at the same time, in the order in which it comes into memory."""

    parts: tuple[MemoryPart, ...]

    @property
    def total(self) -> int:
        """Bytes of all parts together."""
        return sum(part.bytes for part in self.parts)

    @property
    def with_margin(self) -> int:
        """Bytes that should be free: the total, and the error that a prediction may have."""
        return round(self.total * (1 + MARGIN))

    def describe(self) -> str:
        """Say it in a line, the largest parts first, such as `3.3 GB (vision weights 2.2 GB, ..)`."""
        largest = sorted(self.parts, key=lambda part: -part.bytes)[:3]
        return f"{gigabytes(self.total)} ({', '.join(f'{part.name} {gigabytes(part.bytes)}' for part in largest)}, ..)"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object with `bytes` and `parts`."""
        parts = [{"name": part.name, "bytes": part.bytes, "source": part.source} for part in self.parts]
        return {"bytes": self.total, "parts": parts}


def gigabytes(count: int) -> str:
    """Write a number of bytes in gigabytes, with two digits below 10 GB."""
    return f"{count / 1e9:.2f} GB" if count < 1e10 else f"{count / 1e9:.1f} GB"
