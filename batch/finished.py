"""Which rows of a run are written: all up to one, and behind it those that were ready sooner."""

from __future__ import annotations


class Finished:
    """Numbers of rows: all below `first_missing`, and some behind it where rows are written as they are ready."""

    def __init__(self) -> None:
        self.first_missing = 0
        self._behind: set[int] = set()

    def add(self, number: int) -> None:
        """Count a row that is not there yet."""
        self._behind.add(number)
        while self.first_missing in self._behind:
            self._behind.remove(self.first_missing)
            self.first_missing += 1

    def __contains__(self, number: int) -> bool:
        return number < self.first_missing or number in self._behind

    def __len__(self) -> int:
        return self.first_missing + len(self._behind)
