"""Replies to a chat completion: one object, or server-sent events."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer
    from uhd_edge.server.errors import ApiError

END_OF_EVENTS = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Reply:
    """Writes one completion of `model`; `with_usage` ends its stream with the numbers of tokens."""

    model: str
    with_usage: bool = False
    name: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Return the completion as one object."""
        message = {"role": "assistant", "content": answer.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage_object(answer)}

    def first(self) -> bytes:
        """Return the event that begins a stream."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> bytes:
        """Return an event with more of the text."""
        return self._chunk({"content": text})

    def last(self, answer: Answer) -> bytes:
        """Return the events that end a stream."""
        events = self._chunk({}, finish_reason=answer.finish_reason)
        if self.with_usage:
            events += event({**self._head("chat.completion.chunk"), "choices": [], "usage": usage_object(answer)})
        return events + END_OF_EVENTS

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.name, "object": kind, "created": self.created, "model": self.model}

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._head("chat.completion.chunk"), "choices": [choice]}
        return event({**chunk, "usage": None} if self.with_usage else chunk)


def usage_object(answer: Answer) -> dict[str, Any]:
    """Return the numbers of tokens under OpenAI's names, and `vision_tokens`, which OpenAI does not have."""
    usage = answer.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "vision_tokens": usage.vision_tokens,
    }


def failed(error: ApiError) -> bytes:
    """Return the event that ends a stream with an error."""
    return event(error.body)


def event(content: dict[str, Any]) -> bytes:
    """Write one server-sent event."""
    return b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


class Trimmed:
    """Strips the whitespace around a text that arrives in pieces, as `Answer.text` is stripped."""

    def __init__(self) -> None:
        self._begun = False
        self._space = ""

    def __call__(self, piece: str) -> str:
        """Add a piece and return the part of the text that can be sent now."""
        if not self._begun:
            piece = piece.lstrip()
            self._begun = bool(piece)
        text = self._space + piece
        shown = text.rstrip()
        self._space = text[len(shown) :]
        return shown
