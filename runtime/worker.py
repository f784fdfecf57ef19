"""Threads that own an assistant and answer its questions: one, or one for each of its lanes.

a queue  ->  the thread with the fewest questions in work  ->  a step of each of them in turn
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

from uhd_edge.runtime.conversation.in_turns import Failed, InTurns
from uhd_edge.runtime.errors import BusyError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.conversation.in_turns import Job


class Worker:
    """A thread that opens an assistant, runs jobs with it and closes it; end it with `stop`.

    An assistant with several lanes gets another thread for each further one, while it is open. Up to `at_once` jobs
    are in work, in each thread a step of each in turn, and at most `queue` more wait. `opened` is the assistant, or
    the error of opening it; `ended` is set when the threads are done. Any thread may call the methods. Only `join`
    and `end` wait.
    """

    def __init__(self, open_assistant: Callable[[], Assistant], *, queue: int, at_once: int = 1) -> None:
        self._open_assistant = open_assistant
        self._at_once, self._most_jobs = at_once, queue + at_once
        self._changed = threading.Condition()
        self._waiting: deque[Job[Assistant]] = deque()
        self._lanes: list[InTurns[Assistant]] = [InTurns(self._wake)]
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

    @property
    def pieces(self) -> int:
        """How many pieces of text have been written, those of answers that were ended included."""
        return sum(lane.pieces for lane in tuple(self._lanes))

    def submit(self, job: Job[Assistant]) -> None:
        """Queue a job; raises `BusyError` when the queue is full and `ModelError` when the worker has been stopped."""
        with self._changed:
            if self._stopping:
                raise self._refusal.with_traceback(None)
            # Cancelled jobs are removed here and not when they are cancelled, because a finalizer may
            # do that at any point, even in this method.
            self._waiting = deque(waiting for waiting in self._waiting if not waiting.cancelled)
            in_work = sum(lane.not_cancelled for lane in self._lanes)
            if len(self._waiting) + in_work >= self._most_jobs:
                raise BusyError(
                    f"{self._most_jobs} questions are already being answered or waiting; ask again later, "
                    "or open the assistant with a longer queue"
                )
            self._waiting.append(job)
            self._changed.notify_all()

    def stop(self) -> None:
        """End the current jobs at their next step, fail waiting ones, and close the assistant. Safe to call twice."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the thread has ended."""
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def end(self) -> None:
        """Stop, and wait until the thread has ended."""
        self.stop()
        self.join()

    def _run(self) -> None:
        failures: list[BaseException] = []
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
                    self._run_lanes(assistant, failures)
            except BaseException as error:
                failures.append(error)
            self._fail_waiting_jobs()
        if failures:
            self.ended.set_exception(failures[0])
        else:
            self.ended.set_result(None)

    def _run_lanes(self, assistant: Assistant, failures: list[BaseException]) -> None:
        """Run jobs in this thread and in one for each further lane, until the worker is stopped."""
        self._lanes += [InTurns(self._wake) for _ in range(1, assistant.lanes)]
        first, *others = self._lanes
        threads = [
            threading.Thread(target=self._run_jobs, args=(lane, assistant, failures), name="uhd-edge lane", daemon=True)
            for lane in others
        ]
        for thread in threads:
            thread.start()
        self._run_jobs(first, assistant, failures)
        for thread in threads:
            thread.join()

    def _run_jobs(self, lane: InTurns[Assistant], assistant: Assistant, failures: list[BaseException]) -> None:
        """Run jobs in a lane until the worker is stopped, a step of each in turn."""
        try:
            while self._wait_for_work(lane):
                if lane.go_on(assistant) and self._waiting:
                    self._wake()
            lane.end(self._refusal.with_traceback(None))
        except BaseException as error:
            failures.append(error)
            self.stop()

    def _wait_for_work(self, lane: InTurns[Assistant]) -> bool:
        """Wait until something can be done, and take new jobs; False when the worker should end."""
        with self._changed:
            while not self._stopping:
                while self._waiting and self._is_next(lane):
                    job = self._waiting.popleft()
                    if not job.cancelled:
                        lane.add(job)
                if lane.can_go_on:
                    return True
                self._changed.wait()
        return False

    def _is_next(self, lane: InTurns[Assistant]) -> bool:
        """Whether another job may be taken into work, and no other lane has fewer."""
        in_work = [len(other) for other in self._lanes]
        return sum(in_work) < self._at_once and len(lane) == min(in_work)

    def _wake(self, _: object = None) -> None:
        with self._changed:
            self._changed.notify_all()

    def _fail_waiting_jobs(self) -> None:
        """Accept no more jobs and fail those that wait."""
        with self._changed:
            self._stopping = True
            waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            if not job.cancelled:
                job.tell(Failed(self._refusal))
