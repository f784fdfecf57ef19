"""A thread that owns an assistant and answers its questions, one at a time or a step of each in turn."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.runtime.conversation.elsewhere import Elsewhere
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


@dataclass(eq=False)
class _Running:
    """A job in work; its next step waits for `future` if there is one."""

    job: Job
    steps: AnswerStream
    future: Future[object] | None = None

    def can_go_on(self) -> bool:
        """Whether its next step, or its end, need not wait."""
        return self.job.cancelled or self.future is None or self.future.done()


class Worker:
    """A thread that opens an assistant, runs jobs with it and closes it; end it with `stop`.

    Up to `at_once` jobs run, a step of each in turn, and at most `queue` more wait. `opened` is the assistant, or the
    error of opening it; `ended` is set when the thread is done. Any thread may call the methods.
    Only `join` and `end` wait.
    """

    def __init__(self, open_assistant: Callable[[], Assistant], *, queue: int, at_once: int = 1) -> None:
        self._open_assistant = open_assistant
        self._at_once, self._most_jobs = at_once, queue + at_once
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._starting: Job | None = None
        self._running: list[_Running] = []
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
            in_work = sum(not job.cancelled for job in self._in_work())
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
                    self._run_jobs(assistant)
            except BaseException as error:
                failure = error
            self._fail_waiting_jobs()
        if failure is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(failure)

    def _run_jobs(self, assistant: Assistant) -> None:
        """Run jobs until the worker is stopped, a step of each in turn."""
        while self._wait_for_work():
            while (job := self._next()) is not None:
                self._start(job, assistant)
            for running in tuple(self._running):
                if running.can_go_on() and not self._goes_on(running):
                    self._running.remove(running)
        for running in self._running:
            if not running.job.cancelled:
                running.job.tell(Failed(self._refusal.with_traceback(None)))
            with suppress(Exception):  # it has been told the reason
                running.steps.close()
        self._running.clear()

    def _wait_for_work(self) -> bool:
        """Wait until something can be done; False when the worker should end."""
        with self._changed:
            while not self._stopping:
                if any(running.can_go_on() for running in self._running):
                    return True
                if self._waiting and len(self._running) < self._at_once:
                    return True
                self._changed.wait()
        return False

    def _next(self) -> Job | None:
        """Take the next job out of the queue, if there is one and room to run it."""
        with self._changed:
            while self._waiting and len(self._running) < self._at_once:
                job = self._waiting.popleft()
                if not job.cancelled:
                    self._starting = job
                    return job
        return None

    def _start(self, job: Job, assistant: Assistant) -> None:
        try:
            running = _Running(job, job.steps(assistant))
        except BaseException as error:
            job.tell(Failed(error))
        else:
            self._running.append(running)
        self._starting = None

    def _goes_on(self, running: _Running) -> bool:
        """Run the next step of a job, and return whether it is not the last one."""
        job, steps = running.job, running.steps
        try:
            if not job.cancelled:
                piece = next(steps, None)
                if piece is None:
                    job.tell(Finished(steps.answer))
                elif not piece or job.tell(piece):
                    running.future = piece.future if isinstance(piece, Elsewhere) else None
                    if running.future is not None:
                        running.future.add_done_callback(self._wake)
                    return True
            steps.close()
        except BaseException as error:
            job.tell(Failed(error))
        return False

    def _wake(self, _: object) -> None:
        with self._changed:
            self._changed.notify()

    def _in_work(self) -> list[Job]:
        return [*(running.job for running in self._running), *([] if self._starting is None else [self._starting])]

    def _fail_waiting_jobs(self) -> None:
        """Accept no more jobs and fail those that wait."""
        with self._changed:
            self._stopping = True
            waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            if not job.cancelled:
                job.tell(Failed(self._refusal))
