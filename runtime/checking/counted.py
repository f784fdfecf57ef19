"""Numbers of things in words, for what is printed."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return the number with the noun in its form: 1 view, 2 views, 0 views."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
