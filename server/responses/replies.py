"""Replies of `/v1/responses`: one object, or server-sent events that build it up item by item."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from uhd_edge.server.openai.replies import EVENT_STREAM, call_object, logprob_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from uhd_edge.runtime.answer import Answer, TokenLogprob
    from uhd_edge.server.errors import ApiError


@dataclass
class ResponseWriter:
    """Writes one response of `model`; `asked` are the parameters that it repeats.

    It remembers which items a stream has begun, and their text so far.
    """

    model: str
    asked: Mapping[str, Any]
    name: str = field(default_factory=lambda: f"resp_{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    _number: int = 0
    _items: list[dict[str, Any]] = field(default_factory=list)
    _text: str = ""

    @property
    def media_type(self) -> str:
        """The content type of the stream."""
        return EVENT_STREAM

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Return the response as one object."""
        items = [_reasoning_item(_identity("rs"), answer.thinking)] if answer.thinking else []
        if answer.text or not answer.tool_calls:
            items.append(_message_item(_identity("msg"), answer))
        return self._response(answer, [*items, *_call_items(answer)])

    def first(self) -> bytes:
        """Return the events that begin a stream."""
        response = self._response(None, [])
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def piece(self, text: str, tokens: Sequence[TokenLogprob] = ()) -> bytes:
        """Return events with more of the text, and with the tokens in it; the first of them begin its item."""
        events = self._open("message")
        self._text += text
        logprobs = [logprob_object(token, with_top=True) for token in tokens]
        return events + self._event("response.output_text.delta", **self._place(), delta=text, logprobs=logprobs)

    def thought(self, text: str) -> bytes:
        """Return events with more of the model's thoughts; the first of them begin their item."""
        events = self._open("reasoning")
        self._text += text
        return events + self._event("response.reasoning_text.delta", **self._place(), delta=text)

    def last(self, answer: Answer, tokens: Sequence[TokenLogprob] = ()) -> bytes:  # noqa: ARG002  # all come again
        """Return the events that end a stream; the calls come in them, and all tokens with the text."""
        events = b""
        begun = bool(self._items) and self._items[-1]["type"] == "message"
        if not begun and (answer.text or not answer.tool_calls):
            events += self._open("message")
        events += self._close(answer)
        for item in _call_items(answer):
            events += self._call(item)
        response = self._response(answer, self._items)
        return events + self._event(f"response.{response['status']}", response=response)

    def failed(self, error: ApiError) -> bytes:
        """Return the event that ends a stream with an error."""
        return self._event("error", code=error.code, message=str(error), param=error.param)

    def _open(self, kind: str) -> bytes:
        """Begin an item, unless it has begun, and end the one before."""
        if self._items and self._items[-1]["type"] == kind:
            return b""
        events, self._text = self._close(None), ""
        identity = _identity("msg" if kind == "message" else "rs")
        item: dict[str, Any] = {"id": identity, "type": kind, "status": "in_progress"}
        item |= {"role": "assistant", "content": []} if kind == "message" else {"summary": [], "content": []}
        self._items.append(item)
        events += self._event("response.output_item.added", output_index=len(self._items) - 1, item=item)
        return events + self._event("response.content_part.added", **self._place(), part=_part(kind, ""))

    def _close(self, answer: Answer | None) -> bytes:
        """End the item that is open, if there is one; `answer` is known when that is the text."""
        if not self._items or self._items[-1]["status"] != "in_progress":
            return b""
        item, place = self._items[-1], self._place()
        if item["type"] == "message":
            done = _message_item(item["id"], answer) if answer is not None else item
            logprobs = done["content"][0]["logprobs"]
            events = self._event("response.output_text.done", **place, text=self._text, logprobs=logprobs)
        else:
            done = _reasoning_item(item["id"], self._text)
            events = self._event("response.reasoning_text.done", **place, text=self._text)
        self._items[-1] = done
        events += self._event("response.content_part.done", **place, part=done["content"][0])
        return events + self._event("response.output_item.done", output_index=place["output_index"], item=done)

    def _call(self, item: dict[str, Any]) -> bytes:
        self._items.append(item)
        index = len(self._items) - 1
        place = {"item_id": item["id"], "output_index": index}
        begun = {**item, "arguments": "", "status": "in_progress"}
        events = self._event("response.output_item.added", output_index=index, item=begun)
        events += self._event("response.function_call_arguments.delta", **place, delta=item["arguments"])
        events += self._event(
            "response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"]
        )
        return events + self._event("response.output_item.done", output_index=index, item=item)

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._items[-1]["id"], "output_index": len(self._items) - 1, "content_index": 0}

    def _event(self, kind: str, **content: Any) -> bytes:
        data = json.dumps({"type": kind, "sequence_number": self._number, **content}, ensure_ascii=False)
        self._number += 1
        return f"event: {kind}\ndata: {data}\n\n".encode()

    def _response(self, answer: Answer | None, items: list[dict[str, Any]]) -> dict[str, Any]:
        cut_off = answer is not None and answer.finish_reason == "length"
        status = "in_progress" if answer is None else "incomplete" if cut_off else "completed"
        return {
            "id": self.name,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if cut_off else None,
            "model": self.model,
            "output": list(items),
            "previous_response_id": None,
            "store": False,
            "truncation": "disabled",
            **self.asked,
            "usage": None if answer is None else _usage(answer),
        }


def _identity(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:24]}"


def _part(kind: str, text: str) -> dict[str, Any]:
    if kind == "message":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "reasoning_text", "text": text}


def _message_item(identity: str, answer: Answer) -> dict[str, Any]:
    status = "incomplete" if answer.finish_reason == "length" else "completed"
    logprobs = [logprob_object(token, with_top=True) for token in answer.logprobs]
    part = {**_part("message", answer.text), "logprobs": logprobs}
    return {"id": identity, "type": "message", "status": status, "role": "assistant", "content": [part]}


def _reasoning_item(identity: str, text: str) -> dict[str, Any]:
    content = [_part("reasoning", text)]
    return {"id": identity, "type": "reasoning", "status": "completed", "summary": [], "content": content}


def _call_items(answer: Answer) -> Iterator[dict[str, Any]]:
    for call in answer.tool_calls:
        written = call_object(call)
        item = {"id": _identity("fc"), "type": "function_call", "status": "completed", "call_id": written["id"]}
        yield {**item, **written["function"]}


def _usage(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.thinking_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
