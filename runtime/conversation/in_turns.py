"""Questions in work in one thread, a step of each in turn."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from uhd_edge.runtime.conversation.elsewhere import Elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.conversation.answer_stream import AnswerStream

Answerer = TypeVar("Answerer")  # what answers the questions: an open assistant


@dataclass(frozen=True)
class Finished:
    """A job has finished with `answer`."""

    answer: Answer


@dataclass(frozen=True)
class Failed:
    """A job has failed with `error`."""

    error: BaseException


class Job(Generic[Answerer]):
    """A question for an assistant, answered in steps.

    `tell` is called in the thread that answers with every piece of text that is not empty, and with
    `Finished` or `Failed` at the end. It must not raise, and returns whether anyone still
    listens. Once `cancelled` is set, the job is not started, or ends at its next step.
    """

    def __init__(
        self,
        steps: Callable[[Answerer], AnswerStream],
        tell: Callable[[str | Finished | Failed], bool],
    ) -> None:
        self.steps = steps
        self.tell = tell
        self.cancelled = False


@dataclass(eq=False)
class _Running(Generic[Answerer]):
    """A job in work; its next step waits for `future` if there is one. It has no `steps` before the first."""

    job: Job[Answerer]
    steps: AnswerStream | None = None
    future: Future[object] | None = None

    def can_go_on(self) -> bool:
        """Whether its next step, or its end, need not wait."""
        return self.job.cancelled or self.future is None or self.future.done()


class InTurns(Generic[Answerer]):
    """Jobs in work in one thread. `wake` is called, in another thread, when one that had to wait can go on.

    Only that thread lets them go on; others may add a job while it does not, and count them. `pieces` is how many
    pieces of text all of them have written.
    """

    pieces: int

    def __init__(self, wake: Callable[[object], None]) -> None:
        self._wake = wake
        self._running: list[_Running[Answerer]] = []
        self.pieces = 0

    def __len__(self) -> int:
        return len(self._running)

    @property
    def not_cancelled(self) -> int:
        """How many jobs will be answered."""
        return sum(not running.job.cancelled for running in tuple(self._running))

    @property
    def can_go_on(self) -> bool:
        """Whether there is a job whose next step need not wait."""
        return any(running.can_go_on() for running in self._running)

    def add(self, job: Job[Answerer]) -> None:
        """Take a job into work."""
        self._running.append(_Running(job))

    def go_on(self, assistant: Answerer) -> bool:
        """Do the next step of each job that need not wait; returns whether one has ended."""
        before = len(self._running)
        for running in tuple(self._running):
            if running.can_go_on() and not self._goes_on(running, assistant):
                self._running.remove(running)
        return len(self._running) < before

    def end(self, reason: BaseException) -> None:
        """End all jobs, and tell them the reason."""
        for running in self._running:
            if not running.job.cancelled:
                running.job.tell(Failed(reason))
            with suppress(Exception):  # it has been told the reason
                _close(running)
        self._running.clear()

    def _goes_on(self, running: _Running[Answerer], assistant: Answerer) -> bool:
        """Run the next step of a job, and return whether it is not the last one."""
        job = running.job
        try:
            if not job.cancelled:
                if running.steps is None:
                    running.steps = job.steps(assistant)
                piece = next(running.steps, None)
                self.pieces += bool(piece)
                if piece is None:
                    job.tell(Finished(running.steps.answer))
                elif not piece or job.tell(piece):
                    running.future = piece.future if isinstance(piece, Elsewhere) else None
                    if running.future is not None:
                        running.future.add_done_callback(self._wake)
                    return True
            _close(running)
        except BaseException as error:
            job.tell(Failed(error))
        return False


def _close(running: _Running[Answerer]) -> None:
    if running.steps is not None:
        running.steps.close()
