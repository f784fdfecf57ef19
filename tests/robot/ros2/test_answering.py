"""The thread answers with a real model, ends within a token, and outlives whatever arrives, without ROS."""

from __future__ import annotations

from queue import Queue
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from support.places import EXAMPLES

from uhd_edge.robot.ros2.answering import AnsweringThread
from uhd_edge.robot.ros2.inbox import Frame, Inbox, Job
from uhd_edge.robot.ros2.settings import Settings, read_settings
from uhd_edge.runtime.assistant import Assistant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.options import AskOptions

STAR = "What is the code on the white star?"
BENCH = np.asarray(Image.open(EXAMPLES / "bench.png").convert("RGB"))
LONG: AskOptions = {"schema": {"type": "array", "minItems": 300, "items": {"enum": ["star"]}}, "max_tokens": 2000}


class Told:
    """What the thread reported, in order; the test waits for each."""

    def __init__(self) -> None:
        self.queue: Queue[Any] = Queue()

    def answered(self, frame: Frame, question: str, answer: Answer) -> None:
        self.queue.put((frame.number, question, answer.text))

    def failed(self, message: str) -> None:
        self.queue.put(message)

    def next(self) -> Any:
        return self.queue.get(timeout=60)


@pytest.fixture(scope="module")
def assistant() -> Iterator[Assistant]:
    with Assistant() as assistant:
        yield assistant


def start(assistant: Assistant, question: str = "") -> tuple[AnsweringThread, Inbox, Told]:
    inbox, told = Inbox(4), Told()
    settings = read_settings({"question": question, "max_tokens": 16})

    def read(message: Any, _: Settings) -> Any:
        if isinstance(message, Exception):
            raise message
        return message

    thread = AnsweringThread(
        assistant, inbox, settings=lambda: settings, read=read, read_own=lambda message: message, reports=told
    )
    return thread, inbox, told


def test_whatever_a_frame_raises_is_told_and_the_next_one_is_answered(assistant: Assistant) -> None:
    thread, inbox, told = start(assistant, STAR)
    for frame, said in ((ValueError("a\nb"), "unexpected ValueError: a b"), (b"no", "not an image")):
        inbox.put_frame(frame)
        assert said in told.next()
    inbox.put_frame(BENCH)
    assert told.next() == (2, STAR, "JX7")
    thread.stop()
    assert (thread.counts.failed, thread.counts.answered) == (2, 1)


def test_a_cancelled_job_gives_no_piece_after_the_cancel(assistant: Assistant) -> None:
    thread, inbox, _ = start(assistant)
    pieces: list[str] = []
    job = Job("List the stars.", [BENCH], LONG, lambda: len(pieces) >= 4, pieces.append)
    inbox.put_job(job)
    assert job.ended.wait(60)
    assert (len(pieces), job.answer, job.text) == (4, None, pieces[-1])
    after = Job(STAR, [BENCH], {"max_tokens": 16})
    inbox.put_job(after)
    assert after.ended.wait(60)
    assert after.answer is not None
    assert after.answer.text == "JX7"
    thread.stop()


def test_a_stop_ends_the_answer_in_work_and_the_model_stays_open(assistant: Assistant) -> None:
    thread, inbox, _ = start(assistant)
    job = Job("List the stars.", [BENCH], LONG, on_text=lambda _: inbox.stop())
    inbox.put_job(job)
    assert job.ended.wait(60)
    assert job.error == "the node was deactivated"
    thread.stop()
    assert assistant.ask(BENCH, STAR, max_tokens=16).text == "JX7"
