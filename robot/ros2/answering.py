"""The thread that answers: questions of actions and services first, and then the standing one."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from uhd_edge.robot.ros2.inbox import Frame, Job
from uhd_edge.robot.ros2.messages import one_line
from uhd_edge.runtime.answer import Thought
from uhd_edge.runtime.errors import UhdError
from uhd_edge.runtime.images.changes import ChangeDetector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from uhd_edge.robot.ros2.inbox import Inbox
    from uhd_edge.robot.ros2.settings import Settings
    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.assistant import Assistant


@dataclass
class Counts:
    """What became of the frames that were taken, and of the jobs.

    Of the frames seen, `answered`, `failed`, `unchanged` and `cut_off` (by a deactivation) add up
    with those dropped, the one that waits, and the one in work.
    """

    answered: int = 0
    failed: int = 0
    unchanged: int = 0
    cut_off: int = 0
    jobs: int = 0
    jobs_failed: int = 0
    budget_missed: int = 0
    first_token_ms: float = 0.0
    last_error: str = ""
    precision: str = ""


class Reports(Protocol):
    """Where the thread's results go."""

    def answered(self, frame: Frame, question: str, answer: Answer) -> None:
        """Take the answer to the standing question."""

    def failed(self, message: str) -> None:
        """Take an error, in one line."""


class AnsweringThread:
    """Answers what is in an inbox until the inbox is stopped; nothing that arrives ends it.

    `read` turns the message of a frame into a picture, cut and turned, and `read_own` that of an
    image that came with a question. `settings` are asked for with each question.
    """

    def __init__(
        self,
        assistant: Assistant,
        inbox: Inbox,
        *,
        settings: Callable[[], Settings],
        read: Callable[[Any, Settings], NDArray[Any]],
        read_own: Callable[[Any], NDArray[Any]],
        reports: Reports,
    ) -> None:
        self._assistant = assistant
        self._inbox = inbox
        self._settings = settings
        self._read = read
        self._read_own = read_own
        self._reports = reports
        self._changes = ChangeDetector()
        self._asked = ("", 0.0)  # the last standing question, and when it was asked
        self.counts = Counts()
        self._thread = threading.Thread(target=self._run, name="uhd-edge answers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the current answer within a step, and wait for that."""
        self._inbox.stop()
        self._thread.join()

    def _run(self) -> None:
        while (work := self._inbox.take(self._due_in)) is not None:
            if isinstance(work, Job):
                self._do_job(work)
            else:
                self._ask_about(work)

    def _due_in(self) -> float | None:
        settings = self._settings()
        if not settings.question:
            return None
        question, asked_at = self._asked
        return 0.0 if settings.question != question else asked_at + settings.pause - time.monotonic()

    def _ask_about(self, frame: Frame) -> None:
        settings = self._settings()
        is_same_question = settings.question == self._asked[0]
        self._asked = (settings.question, time.monotonic())
        try:
            picture = self._read(frame.message, settings)
            is_new = self._changes.is_new(picture, settings.values["on_change"])
            if is_same_question and not is_new:
                self.counts.unchanged += 1
                return
            job = Job(settings.question, [], settings.options)
            answer = self._answer(job, [picture])
        except Exception as error:  # whatever a frame can make fail must not end the node
            self._report(error)
            self.counts.failed += 1  # once the log and `last_error` have it
            return
        if answer is None:
            self.counts.cut_off += 1
            return
        self.counts.answered += 1
        self._reports.answered(frame, settings.question, answer)

    def _do_job(self, job: Job) -> None:
        try:
            if job.images:
                pictures = [self._read_own(message) for message in job.images]
            else:
                job.frame = self._inbox.newest()
                pictures = [self._read(job.frame.message, self._settings())]
            job.answer = self._answer(job, pictures)
            self.counts.jobs += 1
            if job.answer is None and not job.is_cancelled():
                job.error = "the node was deactivated"
        except Exception as error:  # see above
            job.error = self._report(error)
            self.counts.jobs_failed += 1
        finally:
            job.ended.set()

    def _answer(self, job: Job, pictures: list[NDArray[Any]]) -> Answer | None:
        """Answer, unless the job is cancelled or the node deactivated, which ends it within a step."""
        with self._assistant.steps(pictures, job.question, **job.options) as steps:
            for piece in steps:
                if piece and not isinstance(piece, Thought):
                    job.text += piece
                    job.on_text(job.text)
                if self._inbox.stopped or job.is_cancelled():
                    return None
            answer = steps.answer
        self.counts.first_token_ms = answer.timings_ms["first_token"]
        self.counts.precision = answer.precision or ""
        budget = job.options.get("budget_ms")
        self.counts.budget_missed += budget is not None and self.counts.first_token_ms > budget
        return answer

    def _report(self, error: Exception) -> str:
        """Tell an error in one line, and return it."""
        message = one_line(error)
        if not isinstance(error, UhdError):
            message = f"unexpected {type(error).__name__}: {message}"
        self.counts.last_error = message
        self._reports.failed(message)
        return message
