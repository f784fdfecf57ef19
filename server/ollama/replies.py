"""Replies of Ollama's API: one object, or a line of JSON for every piece."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from uhd_edge.server.openai.replies import logprob_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.answer import Answer, TokenLogprob
    from uhd_edge.server.errors import ApiError

LINES = "application/x-ndjson"


@dataclass(frozen=True)
class OllamaReply:
    """Writes one answer of `model`, as a message of a chat, or as the `response` to a prompt."""

    model: str
    kind: Literal["chat", "generate"]
    with_logprobs: bool = False

    @property
    def media_type(self) -> str:
        """The content type of the stream."""
        return LINES

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Return the answer as one object."""
        told = _logprobs(answer.logprobs) if self.with_logprobs else {}
        return {**self._said(answer.text, answer.thinking, answer), **self._end(answer), **told}

    def nothing_asked(self, done: Literal["load", "unload"]) -> dict[str, Any]:
        """Return the reply to a request that asks nothing, and only wants the model to be loaded or unloaded."""
        return {**self._said(""), "done": True, "done_reason": done}

    def first(self) -> bytes:
        """Return nothing: a stream begins with its first piece."""
        return b""

    def piece(self, text: str, tokens: Sequence[TokenLogprob] = ()) -> bytes:
        """Return a line with more of the text, and with the tokens in it."""
        return _line({**self._said(text), "done": False, **_logprobs(tokens)})

    def thought(self, text: str) -> bytes:
        """Return a line with more of the model's thoughts."""
        return _line({**self._said("", text), "done": False})

    def last(self, answer: Answer, tokens: Sequence[TokenLogprob] = ()) -> bytes:
        """Return the lines that end a stream: one with the calls if there are any, and one with the numbers."""
        calls = _line({**self._said("", "", answer), "done": False}) if answer.tool_calls else b""
        return calls + _line({**self._said(""), **self._end(answer), **_logprobs(tokens)})

    def failed(self, error: ApiError) -> bytes:
        """Return the line that ends a stream with an error."""
        return _line({"error": str(error)})

    def _said(self, text: str, thinking: str = "", answer: Answer | None = None) -> dict[str, Any]:
        """Return an object with text, and with the calls of `answer`."""
        head = {"model": self.model, "created_at": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")}
        thought = {"thinking": thinking} if thinking else {}
        if self.kind == "generate":
            return {**head, "response": text, **thought}
        calls = [] if answer is None else [_call(call.name, call.arguments) for call in answer.tool_calls]
        message = {"role": "assistant", "content": text, **thought, **({"tool_calls": calls} if calls else {})}
        return {**head, "message": message}

    def _end(self, answer: Answer) -> dict[str, Any]:
        times, usage = answer.timings_ms, answer.usage
        prompt = times["total"] - times["generate"]
        return {
            "done": True,
            "done_reason": answer.finish_reason,
            "total_duration": _nanoseconds(times["total"]),
            "load_duration": 0,
            "prompt_eval_count": usage.prompt_tokens,
            "prompt_eval_duration": _nanoseconds(prompt),
            "eval_count": usage.completion_tokens,
            "eval_duration": _nanoseconds(times["generate"]),
        }


def _logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {"logprobs": [logprob_object(token, with_top=True) for token in tokens]} if tokens else {}


def _call(name: str, arguments: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": dict(arguments)}}


def _nanoseconds(milliseconds: float) -> int:
    return round(milliseconds * 1e6)


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
