"""`/v1/chat/completions` as a dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uhd_edge.server.openai.body import read_object
from uhd_edge.server.openai.chat_request import parse_request
from uhd_edge.server.openai.conversations import parse_chat
from uhd_edge.server.openai.replies import Reply

if TYPE_CHECKING:
    from uhd_edge.server.dialect import Asked, ReplyWriter
    from uhd_edge.server.errors import ApiError
    from uhd_edge.server.model_facts import ModelFacts


@dataclass(frozen=True)
class ChatCompletions:
    """OpenAI's chat completions with `model`; `strict` is that of `ServerOptions`."""

    model: ModelFacts
    strict: bool = False

    def read(self, body: bytes) -> tuple[Asked, ReplyWriter]:
        """Read a request; raises `ApiError`."""
        given = read_object(body)
        if not self.strict and given.get("model") in (None, ""):
            given["model"] = self.model.name
        request, ignored = parse_request(given, strict=self.strict)
        self.model.require_name(request.model)
        asked = parse_chat(request, self.model, strict=self.strict, ignored=ignored)
        with_usage = request.stream_options is not None and request.stream_options.include_usage
        with_logprobs, with_details = "logprobs" in asked.options, bool(request.details)
        return asked, Reply(self.model.name, with_usage, with_logprobs, with_details)

    def error_body(self, error: ApiError) -> dict[str, Any]:
        """Return an error in OpenAI's format."""
        return error.body
