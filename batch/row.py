"""What came of one question about one picture, as a line of a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from uhd_edge.batch.groups import Asked
    from uhd_edge.runtime.answer import Answer


@dataclass(frozen=True)
class Row:
    """An answer, or the line that says why there is none (`error`).

    `number` counts from 0 through the whole run. `image` is the path of the picture, the row's own name, or the
    sample's key. There are no times in it, so that two runs write the same bytes.
    """

    number: int
    image: str
    question: str | None
    answer: str | None = None
    error: str | None = None
    finish_reason: str = ""
    thinking: str = ""
    views: int = 0
    vision_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def line(self) -> bytes:
        """One line of JSON; halves of characters, which UTF-8 does not have, become question marks."""
        return json.dumps(asdict(self), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


_ROWS = TypeAdapter(Row)


def parse_row(line: bytes) -> Row | None:
    """Parse a line; None for one that a power failure left in pieces."""
    try:
        return _ROWS.validate_json(line)
    except ValidationError:
        return None


def answered(asked: Asked, answer: Answer) -> Row:
    """Make the row of an answer."""
    return Row(
        number=asked.number,
        image=asked.image,
        question=asked.question,
        answer=answer.text,
        finish_reason=answer.finish_reason,
        thinking=answer.thinking,
        views=len(answer.views),
        vision_tokens=answer.usage.vision_tokens,
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens,
    )


def failed(asked: Asked, error: object) -> Row:
    """Make the row of a question that has no answer."""
    return Row(asked.number, asked.image, asked.question, error=" ".join(str(error).split()))
