"""An answer and what it took, as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.runtime.modes import Mode

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class EncodedView:
    """Size of one view in patches, and how many embeddings it became."""

    rows: int
    columns: int
    tokens: int


@dataclass(frozen=True)
class Plan:
    """One way to look at the images of a question.

    `views`, `patches` and `vision_tokens` are those of all images that come with it,
    `prompt_tokens` those of the whole prompt, a session's earlier turns included.
    `predicted_ms` is the time from the question to the first token. `within_budget` is
    None when there is no budget.
    """

    mode: Mode
    max_slices: int
    views: int
    patches: int
    vision_tokens: int
    prompt_tokens: int
    predicted_ms: float
    within_budget: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a dict that `json.dumps` takes."""
        return asdict(self) | {"predicted_ms": round(self.predicted_ms, 3)}


@dataclass(frozen=True)
class Usage:
    """Tokens read and written: `prompt_tokens` includes `vision_tokens`, and an ending token counts as written.

    In a session they are those of the whole conversation, of which `cached_tokens` were in
    memory and only the others were read for this answer.
    """

    vision_tokens: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True)
class Answer:
    """An answer and what it took.

    `text` is without the whitespace around it, as transformers' processor gives it.
    `finish_reason` is "stop" when the model or one of the stops ended the answer and "length"
    when `max_tokens` or the context did. `views` are those of all images in order, each
    image's thumbnail first; `reused_views` of them were not encoded for this answer.

    `timings_ms` are milliseconds: decode, slice, open (engines of a mode that was used for the
    first time, else 0), patches, encoder, connector (summed over all images), prompt
    (template and tokenizer), prefill, generate (from the first token to the end), and,
    counted from the question, first_token and total. All but first_token make up total.

    `plan` is what was chosen for a question with a budget, and None without one. `parsed` is
    what the text of an answer with a schema was read into: a JSON value or an instance of
    the pydantic model; None without a schema. `dropped_turns` counts the turns of a session
    that were dropped to make room for this one.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    views: tuple[EncodedView, ...]
    timings_ms: Mapping[str, float]
    mode: Mode
    plan: Plan | None = None
    parsed: Any = None
    dropped_turns: int = 0
    reused_views: int = 0

    @property
    def timings(self) -> Mapping[str, float]:
        """Another name of `timings_ms`."""
        return self.timings_ms

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as a dict that `json.dumps` takes, the one that `uhd ask --json` prints.

        `answer` is the text. `parsed` and `plan` are left out where they are None; an instance of
        a pydantic model becomes a dict.
        """
        parsed = self.parsed.model_dump(mode="json") if hasattr(self.parsed, "model_dump") else self.parsed
        shown = {
            "answer": self.text,
            "finish_reason": self.finish_reason,
            "usage": asdict(self.usage),
            "views": [asdict(view) for view in self.views],
            "timings_ms": {stage: round(milliseconds, 3) for stage, milliseconds in self.timings_ms.items()},
            "parsed": parsed,
            "plan": None if self.plan is None else self.plan.to_dict(),
        }
        return {name: value for name, value in shown.items() if value is not None}
