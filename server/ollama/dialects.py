"""`/api/chat` and `/api/generate` as dialects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from uhd_edge.server.dialect import AnsweredError
from uhd_edge.server.media.unseen import require_all_seen
from uhd_edge.server.ollama.replies import OllamaReply
from uhd_edge.server.ollama.requests import (
    chat_body,
    generate_body,
    only_loads,
    only_unloads,
    require_model,
    require_own_messages,
)
from uhd_edge.server.openai.body import read_object
from uhd_edge.server.openai.own_words import require_own_tools
from uhd_edge.server.openai.questions import read_question
from uhd_edge.server.openai.same_meaning import OF_OLLAMA, require_agreement

if TYPE_CHECKING:
    from uhd_edge.server.dialect import Asked, ReplyWriter
    from uhd_edge.server.errors import ApiError
    from uhd_edge.server.model_facts import ModelFacts


@dataclass(frozen=True)
class Ollama:
    """Ollama's chat, or its answer to a prompt, with `model`; `strict` refuses what would be left out."""

    model: ModelFacts
    kind: Literal["chat", "generate"]
    strict: bool = False

    def read(self, body: bytes) -> tuple[Asked, ReplyWriter]:
        """Read a request; raises `ApiError`."""
        given = read_object(body)
        require_model(given, self.model)
        if only_loads(given):
            done: Literal["load", "unload"] = "unload" if only_unloads(given) else "load"
            raise AnsweredError(OllamaReply(self.model.name, self.kind).nothing_asked(done))
        require_agreement(given, OF_OLLAMA)
        if self.strict and self.kind == "chat":
            require_own_messages(given)
            require_own_tools(given.get("tools"), flat=False)
        chat, left_out, sent = chat_body(given) if self.kind == "chat" else generate_body(given)
        if self.model.thinks:  # Ollama's models think only if they are asked to
            chat.setdefault("think", False)
        request, asked = read_question(chat, self.model, sent, strict=self.strict, left_out=left_out)
        require_all_seen(given, asked)
        return asked, OllamaReply(request.model, self.kind, with_logprobs="logprobs" in asked.options)

    def error_body(self, error: ApiError) -> dict[str, Any]:
        """Return an error as Ollama's clients read it."""
        return {"error": str(error)}
