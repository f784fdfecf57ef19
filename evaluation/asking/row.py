"""The answer to one question in one setting, as a line of a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer


@dataclass(frozen=True)
class Row:
    """What came of a question: an answer with its costs, or the line that says why there is none.

    `question` is its number in the data set, from 0. `seconds` are those from the question to the end of the answer.
    `reused_views` of the `views` were in the cache, because another question was about the same picture. `ran` is the
    precision and the provider that really ran, `language_model` where llama.cpp ran: "CPU", or a GPU and its layers.
    """

    question: int
    name: str
    answer: str | None = None
    error: str | None = None
    seconds: float = 0.0
    views: int = 0
    reused_views: int = 0
    vision_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = ""
    ran: str = ""
    language_model: str = ""

    def line(self) -> bytes:
        """One line of JSON; halves of characters, which UTF-8 does not have, become question marks."""
        return json.dumps(asdict(self), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


_ROWS = TypeAdapter(Row)


def parse_row(line: bytes) -> Row | None:
    """Parse a line; None for one that a power failure left in pieces, whose question is asked again."""
    try:
        return _ROWS.validate_json(line)
    except ValidationError:
        return None


def row_of(question: int, name: str, answer: Answer, *, ran: str, language_model: str) -> Row:
    """Make the row of an answer."""
    return Row(
        question=question,
        name=name,
        answer=answer.text,
        seconds=round(answer.timings_ms["total"] / 1e3, 4),
        views=len(answer.views),
        reused_views=answer.reused_views,
        vision_tokens=answer.usage.vision_tokens,
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens,
        finish_reason=answer.finish_reason,
        ran=ran,
        language_model=language_model,
    )
