"""A thread that owns an assistant and answers its questions one at a time."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import BusyError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.conversation.answer_stream import AnswerStream


@dataclass(frozen=True)
class Finished:
    """A job has finished with `answer`."""

    answer: Answer


@dataclass(frozen=True)
class Failed:
    """A job has failed with `error`."""

    error: BaseException


class Job:
    """A question for the assistant, answered in steps.

    `tell` is called in the worker's thread with every piece of text that is not empty, and with
    `Finished` or `Failed` at the end. It must not raise, and returns whether anyone still
    listens. Once `cancelled` is set, the job is not started, or ends at its next step.
    """

    def __init__(
        self,
        steps: Callable[[Assistant], AnswerStream],
        tell: Callable[[str | Finished | Failed], bool],
    ) -> None:
        self.steps = steps
        self.tell = tell
        self.cancelled = False


class Worker:
    """A thread that opens an assistant, runs jobs with it and closes it; end it with `stop`.

    At most `queue` jobs wait while one runs. `opened` is the assistant, or the error of opening
    it; `ended` is set when the thread is done. Any thread may call the methods. Only `join` and
    `end` wait.
    """

    def __init__(self, open_assistant: Callable[[], Assistant], *, queue: int) -> None:
        self._open_assistant = open_assistant
        self._most_jobs = queue + 1
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._stopping = False
        self._refusal: BaseException = ModelError("the assistant has been closed; open a new one")
        self.opened: Future[Assistant] = Future()
        self.ended: Future[None] = Future()
        for future in (self.opened, self.ended):
            future.set_running_or_notify_cancel()  # waiting for them can be cancelled, they themselves cannot
        # A daemon thread, because Python would otherwise wait forever for a worker that is not stopped.
        self._thread = threading.Thread(target=self._run, name="uhd-edge assistant", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many jobs are waiting."""
        with self._changed:
            return sum(not job.cancelled for job in self._waiting)

    def submit(self, job: Job) -> None:
        """Queue a job; raises `BusyError` when the queue is full and `ModelError` when the worker has been stopped."""
        with self._changed:
            if self._stopping:
                raise self._refusal.with_traceback(None)
            # Cancelled jobs are removed here and not when they are cancelled, because a finalizer may
            # do that at any point, even in this method.
            self._waiting = deque(waiting for waiting in self._waiting if not waiting.cancelled)
            in_work = self._running is not None and not self._running.cancelled
            if len(self._waiting) + in_work >= self._most_jobs:
                raise BusyError(
                    f"{self._most_jobs} questions are already being answered or waiting; ask again later, "
                    "or open the assistant with a longer queue"
                )
            self._waiting.append(job)
            self._changed.notify()

    def stop(self) -> None:
        """End the current job at its next step, fail waiting ones, and close the assistant. Safe to call twice."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def join(self) -> None:
        """Wait until the thread has ended."""
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def end(self) -> None:
        """Stop, and wait until the thread has ended."""
        self.stop()
        self.join()

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            assistant = self._open_assistant()
        except BaseException as error:
            self._refusal = error
            self._fail_waiting_jobs()
            self.opened.set_exception(error)
        else:
            self.opened.set_result(assistant)
            try:
                with assistant:
                    while self._run_next_job(assistant):
                        self._running = None
            except BaseException as error:
                failure = error
            self._fail_waiting_jobs()
        if failure is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(failure)

    def _run_next_job(self, assistant: Assistant) -> bool:
        """Wait for a job and run it; False when the worker should end."""
        job = self._next()
        if job is None:
            return False
        try:
            with job.steps(assistant) as steps:
                while not job.cancelled:
                    self._require_not_stopping()
                    piece = next(steps, None)
                    if piece is None:
                        job.tell(Finished(steps.answer))
                        break
                    if piece and not job.tell(piece):
                        break
        except BaseException as error:
            job.tell(Failed(error))
        return True

    def _next(self) -> Job | None:
        """Wait for the next job; None when the worker should end."""
        with self._changed:
            while not self._stopping:
                while self._waiting:
                    job = self._waiting.popleft()
                    if not job.cancelled:
                        self._running = job
                        return job
                self._changed.wait()
        return None

    def _require_not_stopping(self) -> None:
        if self._stopping:
            raise self._refusal.with_traceback(None)

    def _fail_waiting_jobs(self) -> None:
        """Accept no more jobs and fail those that wait."""
        with self._changed:
            self._stopping = True
            waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            if not job.cancelled:
                job.tell(Failed(self._refusal))
