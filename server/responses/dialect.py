"""`/v1/responses` as a dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uhd_edge.server.media.unseen import require_all_seen
from uhd_edge.server.openai.body import read_object
from uhd_edge.server.openai.questions import read_question
from uhd_edge.server.openai.same_meaning import OF_RESPONSES, require_agreement
from uhd_edge.server.responses.own_words import require_own_words
from uhd_edge.server.responses.replies import ResponseWriter
from uhd_edge.server.responses.request import as_chat_body

if TYPE_CHECKING:
    from uhd_edge.server.dialect import Asked, ReplyWriter
    from uhd_edge.server.errors import ApiError
    from uhd_edge.server.model_facts import ModelFacts


@dataclass(frozen=True)
class Responses:
    """OpenAI's responses with `model`, none of which is kept; `strict` takes their own words and leaves nothing out."""

    model: ModelFacts
    strict: bool = False

    def read(self, body: bytes) -> tuple[Asked, ReplyWriter]:
        """Read a request; raises `ApiError`."""
        given = read_object(body)
        require_agreement(given, OF_RESPONSES)
        if self.strict:
            require_own_words(given)
        chat, left_out, sent = as_chat_body(given)
        _, asked = read_question(chat, self.model, sent, strict=self.strict, left_out=left_out)
        require_all_seen(given, asked)
        return asked, ResponseWriter(self.model.name, _repeated(given, asked))

    def error_body(self, error: ApiError) -> dict[str, Any]:
        """Return an error in OpenAI's format."""
        return error.body


def _repeated(given: dict[str, Any], asked: Asked) -> dict[str, Any]:
    """Return the parameters of a request that its response repeats, with their defaults here."""
    reasoning, text = given.get("reasoning"), given.get("text")
    return {
        "instructions": given.get("instructions"),
        "max_output_tokens": asked.options.get("max_tokens"),
        "metadata": given.get("metadata") or {},
        "parallel_tool_calls": given.get("parallel_tool_calls") is not False,
        "reasoning": reasoning if isinstance(reasoning, dict) else {"effort": None, "summary": None},
        "temperature": asked.options.get("temperature", 0),
        "text": text if isinstance(text, dict) and text.get("format") else {"format": {"type": "text"}},
        "tool_choice": given.get("tool_choice") or "auto",
        "tools": given.get("tools") or [],
        "top_logprobs": asked.options.get("logprobs") or 0,
        "top_p": asked.options.get("top_p", 1),
        "user": given.get("user"),
    }
