"""Patterns that a grammar can enforce, including those of the formats."""

from __future__ import annotations

from uhd_edge.runtime.schema.strings import FORMATS

PATTERNS = [
    r"^[A-Z]{2}\d{3}$",
    r"^(red|green|blue)( (square|circle))?$",
    r"[^a-z]x*y+?",
    r"^\w+@\w+\.com$",
    r'^"quoted\\"$',
    r"^a$|^b+$",
    r"^(?:\S ?){1,5}$",
    r"^\D\W\s$",
    r"^[\d.\-]{1,8}$",
    r"line\nbreak\ttab",
    r"^é+[à-ü]$",
    r"^.{3}$",
    *FORMATS.values(),
]
