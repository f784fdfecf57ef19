"""The model's thoughts are written, up to where they end.

They end where the model closes their block, at the request's limit, or where the model would end
its answer without having given one. In the last two cases the block is closed for it, so that
there is always an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from uhd_edge.runtime.answer import Thought
from uhd_edge.runtime.llm.stopping import StoppedText
from uhd_edge.runtime.prompt.thinking import THINK_END, THINK_START

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from uhd_edge.runtime.conversation.request import Settings
    from uhd_edge.runtime.generation.token_source import TokenSource

# How the model is trained to begin the block of its thoughts, to end it, and to go on after it.
OPENING = f"{THINK_START}\n"
CLOSING = f"\n{THINK_END}\n\n"
AFTER_END = "\n\n"


@dataclass(frozen=True)
class Thoughts:
    """Thoughts, and the text that was read behind them, mostly nothing."""

    text: str = ""
    tokens: int = 0
    rest: str = ""


@dataclass(frozen=True)
class Head:
    """The beginning of a text; `thoughts` is what follows a tag that opens thoughts, None without one."""

    text: str
    thoughts: str | None = None


def think(
    settings: Settings, source: TokenSource, begun: str = "", *, constrained: bool
) -> Generator[str, None, Thoughts]:
    """Generate thoughts that begin with the text `begun`, and close their block.

    `constrained` says that a grammar goes on after it, which has no line breaks in front.
    """
    before = source.count
    reserved = min(settings.max_tokens, source.room // 2) + source.length(CLOSING)
    stream = source.stream(min(settings.think_tokens, source.room - reserved))
    pieces, text = StoppedText(after(begun, iter(stream)), (THINK_END,)), ""
    for piece in pieces:
        text += piece
        yield Thought(piece)
    if not pieces.found:
        source.put(CLOSING)
    elif constrained:
        source.put(AFTER_END)
    return Thoughts(text, source.count - before, pieces.rest)


def read_head(pieces: Iterator[str]) -> Generator[str, None, Head]:
    """Read until it is certain whether the text begins with a tag that opens thoughts."""
    head = ""
    for piece in pieces:
        head += piece
        begun = head.lstrip()
        if begun.startswith(THINK_START):
            return Head("", begun.removeprefix(THINK_START))
        if not THINK_START.startswith(begun):
            break
        yield ""
    return Head(head)


def after(head: str, pieces: Iterator[str]) -> Iterator[str]:
    """Put a text, if there is any, in front of pieces."""
    return chain([head], pieces) if head else pieces
