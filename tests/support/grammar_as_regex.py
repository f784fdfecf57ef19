"""Turns grammars without recursion into Python's regular expressions, to test what they accept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from uhd_edge.runtime.schema.grammar import Alternatives, Characters, Concatenation, Repeat, Text

if TYPE_CHECKING:
    from uhd_edge.runtime.schema.grammar import Node


def as_regex(node: Node, *, highest: int = 0x10FFFF) -> str:
    """The regular expression for what `node` accepts, without characters above `highest`."""
    match node:
        case Text(text):
            return re.escape(text)
        case Characters(ranges):
            kept = [(first, min(last, highest)) for first, last in ranges if first <= highest]
            return "[" + "".join(f"\\U{first:08X}-\\U{last:08X}" for first, last in kept) + "]"
        case Concatenation(parts):
            return "".join(as_regex(part, highest=highest) for part in parts)
        case Alternatives(options):
            return (
                "(?:" + "|".join(as_regex(option, highest=highest) for option in options) + ")" if options else r"(?!)"
            )
        case Repeat(part, least, most):
            return f"(?:{as_regex(part, highest=highest)}){{{least},{'' if most is None else most}}}"
        case _:
            raise AssertionError(f"{node} needs the other rules")
