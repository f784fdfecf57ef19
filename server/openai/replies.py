"""Replies to a chat completion: one object, or server-sent events."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.answer import Answer, TokenLogprob, ToolCall
    from uhd_edge.server.errors import ApiError

END_OF_EVENTS = b"data: [DONE]\n\n"
EVENT_STREAM = "text/event-stream; charset=utf-8"

# JSON has no infinity.
LEAST_LOGPROB = -9999.0


@dataclass(frozen=True)
class Reply:
    """Writes one completion of `model`; `with_usage` ends its stream with the numbers of tokens.

    `with_details` adds views and times, which are not in OpenAI's API.
    """

    model: str
    with_usage: bool = False
    with_logprobs: bool = False
    with_details: bool = False
    name: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def media_type(self) -> str:
        """The content type of the stream."""
        return EVENT_STREAM

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Return the completion as one object."""
        choices = [self._choice(one, number) for number, one in enumerate((answer, *answer.alternatives))]
        whole = {**self._head("chat.completion"), "choices": choices, "usage": usage_object(answer)}
        return {**whole, "details": details_object(answer)} if self.with_details else whole

    def first(self) -> bytes:
        """Return the event that begins a stream."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str, tokens: Sequence[TokenLogprob] = ()) -> bytes:
        """Return an event with more of the text, and with the tokens in it."""
        return self._chunk({"content": text}, logprobs=logprobs_object(tokens) if tokens else None)

    def thought(self, text: str) -> bytes:
        """Return an event with more of the model's thoughts."""
        return self._chunk({"reasoning_content": text})

    def last(self, answer: Answer, tokens: Sequence[TokenLogprob] = ()) -> bytes:
        """Return the events that end a stream; the other answers come in them, whole."""
        events = self._end(answer, 0, tokens)
        for number, other in enumerate(answer.alternatives, 1):
            events += self._chunk({"role": "assistant", "content": ""}, number)
            if other.thinking:
                events += self._chunk({"reasoning_content": other.thinking}, number)
            events += self._chunk({"content": other.text}, number)
            events += self._end(other, number, other.logprobs)
        if self.with_usage or self.with_details:
            end = {**self._head("chat.completion.chunk"), "choices": [], "usage": usage_object(answer)}
            events += event({**end, "details": details_object(answer)} if self.with_details else end)
        return events + END_OF_EVENTS

    def failed(self, error: ApiError) -> bytes:
        """Return the event that ends a stream with an error."""
        return event(error.body)

    def _choice(self, answer: Answer, number: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
        if answer.thinking:
            message["reasoning_content"] = answer.thinking
        if answer.tool_calls:
            message["tool_calls"] = [call_object(call) for call in answer.tool_calls]
        logprobs = logprobs_object(answer.logprobs) if self.with_logprobs else None
        return {"index": number, "message": message, "logprobs": logprobs, "finish_reason": finish_reason(answer)}

    def _end(self, answer: Answer, number: int, tokens: Sequence[TokenLogprob]) -> bytes:
        """Return the events with the other tokens and the calls of an answer, and with its end."""
        events = self._chunk({}, number, logprobs=logprobs_object(tokens)) if tokens else b""
        for place, call in enumerate(answer.tool_calls):
            events += self._chunk({"tool_calls": [{"index": place, **call_object(call)}]}, number)
        return events + self._chunk({}, number, finish_reason=finish_reason(answer))

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.name, "object": kind, "created": self.created, "model": self.model}

    def _chunk(
        self,
        delta: dict[str, Any],
        number: int = 0,
        *,
        finish_reason: str | None = None,
        logprobs: dict[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        chunk = {**self._head("chat.completion.chunk"), "choices": [choice]}
        return event({**chunk, "usage": None} if self.with_usage else chunk)


def finish_reason(answer: Answer) -> str:
    """Return why an answer ended, as OpenAI's API has it."""
    return "tool_calls" if answer.tool_calls else answer.finish_reason


def details_object(answer: Answer) -> dict[str, Any]:
    """Return views, cuts of the images, times and mode of an answer, under the names of `Answer.to_dict`."""
    known = answer.to_dict()
    names = ("views", "images", "timings_ms", "plan", "precision")
    own: dict[str, Any] = {name: known[name] for name in names if name in known}
    return {**own, "mode": answer.mode, "reused_views": answer.reused_views}


def logprobs_object(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    """Return the probabilities of tokens as OpenAI's API has them."""
    return {"content": [logprob_object(token, with_top=True) for token in tokens], "refusal": None}


def logprob_object(token: TokenLogprob, *, with_top: bool = False) -> dict[str, Any]:
    """Return one token with its probability."""
    own = {"token": token.text, "bytes": list(token.data), "logprob": max(token.logprob, LEAST_LOGPROB)}
    return {**own, "top_logprobs": [logprob_object(other) for other in token.top]} if with_top else own


def call_object(call: ToolCall) -> dict[str, Any]:
    """Return a call as OpenAI's API has it, with an id of its own."""
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    identity = f"call_{uuid.uuid4().hex[:24]}"
    return {"id": identity, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def usage_object(answer: Answer) -> dict[str, Any]:
    """Return the numbers of tokens under OpenAI's names, and `vision_tokens`, which OpenAI does not have."""
    usage, answers = answer.usage, (answer, *answer.alternatives)
    completion = sum(one.usage.completion_tokens for one in answers)
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": usage.prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": sum(one.usage.thinking_tokens for one in answers)},
        "vision_tokens": usage.vision_tokens,
    }


# Made once: `json.dumps` would make an encoder for every piece of an answer.
_write_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def event(content: dict[str, Any]) -> bytes:
    """Write one server-sent event."""
    return b"data: " + _write_json(content).encode() + b"\n\n"
