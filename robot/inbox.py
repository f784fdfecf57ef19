"""The inbox of the node: the newest frame, the last question, and errors."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Work:
    """A frame to ask about: its number, counted from 0, and how many frames before it were skipped."""

    number: int
    dropped: int
    value: Any
    metadata: Mapping[str, Any]
    question: str


class Inbox:
    """One thread puts events in, another one takes work out.

    There is work when the frame or the question is new. When no more events can come, `take` still
    returns the newest frame, and then None. After a stop order it returns None at once, and
    `stopped` tells the answering thread to end its answer.
    """

    def __init__(self, question: str) -> None:
        self._changed = threading.Condition()
        self._question = question
        self._frame: tuple[Any, Mapping[str, Any]] | None = None
        self._is_new = False
        self._is_last = False
        self._errors: list[str] = []
        self._newest_asked = -1
        self.frames = 0
        self.asked = 0
        self.stopped = False

    @property
    def dropped(self) -> int:
        """How many frames were skipped, because newer ones had arrived."""
        return self.frames - self.asked - self._is_new

    def put(self, event: Mapping[str, Any]) -> None:
        """Put in an event of dora; other kinds of event are ignored."""
        with self._changed:
            match event["type"], event.get("id"):
                case "INPUT", "image":
                    self._frame, self._is_new = (event["value"], event["metadata"]), True
                    self.frames += 1
                case "INPUT", "question":
                    self._ask(event["value"])
                case "STOP", "ALL_INPUTS_CLOSED":
                    self._is_last = True
                case "STOP", _:
                    self.stopped = True
                case "ERROR", _:
                    self._errors.append(str(event.get("error")).partition("\n")[0])
            self._changed.notify()

    def close(self) -> None:
        """Say that no more events will come."""
        with self._changed:
            self._is_last = True
            self._changed.notify()

    def take(self) -> Work | list[str] | None:
        """Wait for work, or for errors to report; None at the end."""
        with self._changed:
            while not self._errors and not self._has_work() and not self._is_last and not self.stopped:
                self._changed.wait()
            if self.stopped:
                return None
            if self._errors:
                errors, self._errors = self._errors, []
                return errors
            if not self._has_work() or self._frame is None:
                return None
            number = self.frames - 1
            self.asked += number != self._newest_asked
            self._is_new, self._newest_asked = False, number
            return Work(number, self.dropped, *self._frame, self._question)

    def _has_work(self) -> bool:
        return self._is_new and bool(self._question)

    def _ask(self, value: Any) -> None:
        question = value[0].as_py() if str(getattr(value, "type", "")) == "string" and len(value) == 1 else None
        if question is None or not question.strip():
            self._errors.append("the input `question` is not a question; send an array with one string")
            return
        self._question, self._is_new = question, self._frame is not None
