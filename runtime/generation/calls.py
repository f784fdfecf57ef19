"""Calls of tools are written: where the model begins one, or has to make one, a grammar keeps it to a tool.

A call begins with its tag on a line of its own. The tag elsewhere in a text is text. So is a call
that was cut off before its end. Where the answer has a grammar of its own, a call may stand in its place.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from uhd_edge.runtime.generation.said import Said
from uhd_edge.runtime.generation.thoughts import after
from uhd_edge.runtime.llm.stopping import StoppedText
from uhd_edge.runtime.tools.call_format import CALL_END, CALL_START, read_call
from uhd_edge.runtime.tools.call_grammar import build_call_grammar

if TYPE_CHECKING:
    from collections.abc import Generator

    from uhd_edge.runtime.answer import ToolCall
    from uhd_edge.runtime.generation.token_source import TokenSource
    from uhd_edge.runtime.llm.streaming import TextStream
    from uhd_edge.runtime.tools.call_format import CallFormat
    from uhd_edge.runtime.tools.tool_set import ToolSet

OPENING = f"{CALL_START}\n"
CLOSING = f"\n{CALL_END}"


class CallWriter:
    """Writes the calls of one answer, which ends where the source has given `end` tokens.

    `placeholder` stands for an image in a prompt, so it is left out of the arguments.
    """

    def __init__(
        self, source: TokenSource, tools: ToolSet, call_format: CallFormat, *, end: int, placeholder: str
    ) -> None:
        self._source = source
        self._placeholder = placeholder
        self._tools = tools.callable
        self._several = tools.several
        self._format: CallFormat = call_format
        self._grammar = build_call_grammar(tools.callable, call_format)
        self._end = end

    def write_call(self) -> Generator[str, None, Said]:
        """Generate an answer that is one call; yields an empty piece for every token."""
        self._source.put(OPENING)
        return (yield from self._call())

    def write_calls_or(self, grammar: str, stops: tuple[str, ...]) -> Generator[str, None, Said]:
        """Generate calls, if the model begins with one, or in their place a text that fits a grammar of `GrammarText`.

        Where the tag of a call is a special token, it is looked for before the grammar begins, which would not take it.
        """
        head = ""
        if not self._source.is_special(CALL_START):
            grammar = grammar.replace("\n", f" | {json.dumps(OPENING)}\n", 1)  # the first line is where it begins
        elif self._source.begins_with(CALL_START):
            head, grammar = CALL_START, 'root ::= "\\n"\n'
        stream = self._source.stream(self._end - self._source.count, grammar=grammar)
        return (yield from self.write_text(stream, head, stops))

    def write_text(self, stream: TextStream, head: str, stops: tuple[str, ...]) -> Generator[str, None, Said]:
        """Generate the text that begins with `head`, and the calls in it; `stream` is that of its tokens."""
        calls: list[ToolCall] = []
        text, pieces = "", iter(stream)
        while True:
            stopped = StoppedText(after(head, pieces), (*stops, OPENING))
            for piece in stopped:
                text += piece
                yield piece
            if stopped.found != OPENING:
                return Said(text, "stop" if stopped.found else stream.finish_reason, tuple(calls))
            if not _is_at_line_start(text):
                text += OPENING
                yield OPENING
                head = stopped.rest
                continue
            said = yield from self._call()
            if not said.tool_calls:
                return Said(text + said.text, said.finish_reason, tuple(calls))
            calls += said.tool_calls
            if not self._several:
                return Said(text, "stop", tuple(calls))
            self._source.put(CLOSING)
            stream = self._source.stream(self._end - self._source.count)
            pieces, head = iter(stream), ""

    def _call(self) -> Generator[str, None, Said]:
        """Generate what stands between the tags."""
        stream, text = self._source.stream(self._end - self._source.count, grammar=self._grammar), ""
        for piece in stream:
            text += piece
            yield ""
        ended = stream.finish_reason == "stop"
        call = read_call(text.replace(self._placeholder, ""), self._tools, self._format) if ended else None
        if call is not None:
            return Said("", "stop", (call,))
        yield OPENING + text
        return Said(OPENING + text, stream.finish_reason)


def _is_at_line_start(text: str) -> bool:
    return not text.strip() or text.rstrip(" \t").endswith("\n")
