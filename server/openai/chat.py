"""`/v1/chat/completions` as a dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uhd_edge.server.media.unseen import require_all_seen
from uhd_edge.server.openai.body import read_object
from uhd_edge.server.openai.own_words import require_own_tools
from uhd_edge.server.openai.questions import read_question
from uhd_edge.server.openai.replies import Reply
from uhd_edge.server.openai.same_meaning import OF_CHATS, require_agreement
from uhd_edge.server.openai.sent_names import SentNames

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
        require_agreement(given, OF_CHATS)
        if self.strict:
            require_own_tools(given.get("tools"), flat=False)
        request, asked = read_question(given, self.model, SentNames(), strict=self.strict)
        require_all_seen(given, asked)
        with_usage = request.stream_options is not None and request.stream_options.include_usage
        with_logprobs, with_details = "logprobs" in asked.options, bool(request.details)
        return asked, Reply(self.model.name, with_usage, with_logprobs, with_details)

    def error_body(self, error: ApiError) -> dict[str, Any]:
        """Return an error in OpenAI's format."""
        return error.body
