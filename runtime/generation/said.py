"""What an answer says after the model's thoughts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import FinishReason, ToolCall


@dataclass(frozen=True)
class Said:
    """The text of an answer, without the calls in it."""

    text: str
    finish_reason: FinishReason
    tool_calls: tuple[ToolCall, ...] = ()
