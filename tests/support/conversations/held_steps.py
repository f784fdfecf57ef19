"""An answer that waits before its third piece of text, so that a test can do something in the meantime."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.conversation.answer_stream import AnswerStream

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


@dataclass
class HeldSteps:
    """`reached` is set when the answer waits. Set `go_on` to let it continue. `pieces` are those taken so far."""

    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    pieces: list[str] = field(default_factory=list)


def hold_answers(monkeypatch: pytest.MonkeyPatch) -> HeldSteps:
    """Hold every answer of every assistant from now on, until `monkeypatch` is undone."""
    held = HeldSteps()
    steps = Assistant.steps

    def held_steps(self: Assistant, *arguments: Any, **options: Any) -> Iterator[str]:
        for piece in steps(self, *arguments, **options):
            if piece:
                held.pieces.append(piece)
            if piece and len(held.pieces) == 3:
                held.reached.set()
                held.go_on.wait()
            yield piece

    def as_stream(self: Assistant, *arguments: Any, **options: Any) -> Any:
        return AnswerStream(held_steps(self, *arguments, **options))  # type: ignore[arg-type]  # never read to its end

    monkeypatch.setattr(Assistant, "steps", as_stream)
    return held
