"""A chat completion, into which every API is translated, becomes a question; errors name what the client has sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from uhd_edge.server.openai.chat_request import parse_request
from uhd_edge.server.openai.conversations import parse_chat
from uhd_edge.server.openai.refusing import refuse_names
from uhd_edge.server.openai.sent_names import in_any_list

if TYPE_CHECKING:
    from uhd_edge.server.dialect import Asked
    from uhd_edge.server.model_facts import ModelFacts
    from uhd_edge.server.openai.chat_request import ChatRequest
    from uhd_edge.server.openai.sent_names import SentNames


def read_question(
    chat: dict[str, Any], model: ModelFacts, sent: SentNames, *, strict: bool, left_out: tuple[str, ...] = ()
) -> tuple[ChatRequest, Asked]:
    """Check the body of a chat completion, and return it with what is asked; raises `ApiError`.

    `sent` is how another API called what is in it, and `left_out` what that had besides. If it is `strict`,
    the body is taken in OpenAI's own words alone, and what would be ignored is refused.
    """
    if not strict and chat.get("model") in (None, ""):
        chat["model"] = model.name
    with sent.spoken():
        request, ignored = parse_request(chat, sent.tidied, strict=strict)
        model.require_name(request.model)
        asked = parse_chat(request, model, strict=strict)
    places = (*left_out, *map(sent.untidied, ignored), *map(sent.of, asked.ignored))
    if strict:
        refuse_names(places)
    return request, replace(asked, ignored=tuple(dict.fromkeys(map(in_any_list, places))), sent=sent)
