"""Replies to a chat completion: one object, or server-sent events."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer, ToolCall
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
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
        if answer.thinking:
            message["reasoning_content"] = answer.thinking
        if answer.tool_calls:
            message["tool_calls"] = [_call_object(call) for call in answer.tool_calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(answer)}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage_object(answer)}

    def first(self) -> bytes:
        """Return the event that begins a stream."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> bytes:
        """Return an event with more of the text."""
        return self._chunk({"content": text})

    def thought(self, text: str) -> bytes:
        """Return an event with more of the model's thoughts."""
        return self._chunk({"reasoning_content": text})

    def last(self, answer: Answer) -> bytes:
        """Return the events that end a stream."""
        calls = [{"index": number, **_call_object(call)} for number, call in enumerate(answer.tool_calls)]
        events = b"".join(self._chunk({"tool_calls": [call]}) for call in calls)
        events += self._chunk({}, finish_reason=finish_reason(answer))
        if self.with_usage:
            events += event({**self._head("chat.completion.chunk"), "choices": [], "usage": usage_object(answer)})
        return events + END_OF_EVENTS

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.name, "object": kind, "created": self.created, "model": self.model}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._head("chat.completion.chunk"), "choices": [choice]}
        return event({**chunk, "usage": None} if self.with_usage else chunk)


def finish_reason(answer: Answer) -> str:
    """Return why an answer ended, as OpenAI's API has it."""
    return "tool_calls" if answer.tool_calls else answer.finish_reason


def _call_object(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    identity = f"call_{uuid.uuid4().hex[:24]}"
    return {"id": identity, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def usage_object(answer: Answer) -> dict[str, Any]:
    """Return the numbers of tokens under OpenAI's names, and `vision_tokens`, which OpenAI does not have."""
    usage = answer.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.thinking_tokens},
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
