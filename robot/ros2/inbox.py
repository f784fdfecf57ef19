"""The inbox of the node: the newest frame, questions that wait, and the order to stop."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime.errors import BusyError, ImageError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.options import AskOptions


NOT_ACTIVE = "the node is not active; activate it first"


@dataclass(frozen=True)
class Frame:
    """A frame's message, its number, counted from 0, and how many frames before it were skipped."""

    message: Any
    number: int
    dropped: int


@dataclass(eq=False)
class Job:
    """A question of an action or a service.

    `images` are messages; without any the newest frame is asked about. `on_text` is called with
    the answer so far. When `ended` is set, there is an `answer`, or an `error`, or the job was
    cancelled; `text` is what there was by then, and `frame` the frame that was asked about.
    """

    question: str
    images: list[Any]
    options: AskOptions
    is_cancelled: Callable[[], bool] = lambda: False
    on_text: Callable[[str], None] = lambda _: None
    frame: Frame | None = None
    text: str = ""
    answer: Answer | None = None
    error: str = ""
    ended: threading.Event = field(default_factory=threading.Event)


class Inbox:
    """Any thread puts frames and jobs in, one takes them out: jobs first, and of frames the newest.

    `seen` counts the frames put in, `taken` those taken out, and `lost` those that never came here;
    `refused` counts the jobs for which there was no room.
    """

    def __init__(self, most_jobs: int) -> None:
        self._changed = threading.Condition()
        self._most_jobs = most_jobs
        self._jobs: deque[Job] = deque()
        self._kept = 0  # places for jobs to come
        self._message: Any = None
        self._is_new = False
        self._is_busy = False
        self.stopped = False
        self.seen = 0
        self.taken = 0
        self.lost = 0
        self.refused = 0

    @property
    def waiting(self) -> int:
        """1 if there is a frame that was neither taken nor dropped."""
        return int(self._is_new)

    @property
    def dropped(self) -> int:
        """How many frames were skipped, because newer ones had arrived."""
        with self._changed:
            return self._dropped()

    def keep_place(self) -> None:
        """Keep a place for a job that is to come; raises what `put_job` does."""
        with self._changed:
            self._require_room()
            self._kept += 1

    def give_place(self) -> None:
        """Give back a place that was kept, or that another inbox kept before this one."""
        with self._changed:
            self._kept = max(0, self._kept - 1)

    def put_frame(self, message: Any) -> None:
        """Replace the newest frame."""
        with self._changed:
            self._message, self._is_new = message, True
            self.seen += 1
            self._changed.notify()

    def put_job(self, job: Job, *, has_place: bool = False) -> None:
        """Queue a job, perhaps in a place kept for it; raises `BusyError` when too many wait, or `ModelError`."""
        with self._changed:
            if has_place and self._kept and not self.stopped:
                self._kept -= 1
            else:
                self._require_room()
            self._jobs.append(job)
            self._changed.notify()

    def withdraw(self, job: Job) -> None:
        """End a job that waits; one that was taken ends by itself."""
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                job.ended.set()

    def poke(self) -> None:
        """Look again at what is due, after a parameter has changed."""
        with self._changed:
            self._changed.notify()

    def stop(self) -> None:
        """Let `take` return None, and end the jobs that wait."""
        with self._changed:
            self.stopped = True
            for job in self._jobs:
                job.error = "the node was deactivated"
                job.ended.set()
            self._jobs.clear()
            self._changed.notify()

    def newest(self) -> Frame:
        """Return the newest frame without taking it; raises `ImageError` if none has come."""
        with self._changed:
            if not self.seen:
                raise ImageError("no frame has come yet; check the image topic")
            return Frame(self._message, self.seen - 1, self._dropped())

    def take(self, due_in: Callable[[], float | None]) -> Job | Frame | None:
        """Wait for a job, or for a new frame when a standing question is due; None after `stop`.

        `due_in` tells in how many seconds the next standing question is due, None if there is none.
        """
        with self._changed:
            self._is_busy = False
            while not self.stopped:
                if self._jobs:
                    self._is_busy = True
                    return self._jobs.popleft()
                seconds = due_in() if self._is_new else None
                if seconds is not None and seconds <= 0:
                    self.taken += 1
                    self._is_new, self._is_busy = False, True
                    return Frame(self._message, self.seen - 1, self._dropped())
                self._changed.wait(seconds)
            return None

    def _require_room(self) -> None:
        if self.stopped:
            raise ModelError(NOT_ACTIVE)
        waiting = len(self._jobs) + self._kept
        if waiting + self._is_busy > self._most_jobs:
            self.refused += 1
            raise BusyError(f"{waiting} questions are waiting; ask again later")

    def _dropped(self) -> int:
        return self.seen - self.taken - self.waiting
