"""The newest frame is taken with the newest question; those before it are dropped and counted."""

from __future__ import annotations

from typing import Any

import pytest
from support.robot.dora_events import LAST, STOP, sent

from uhd_edge.robot.inbox import Inbox

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'uhd-edge[dora]'")


def test_the_newest_frame_is_taken_and_those_before_it_are_counted() -> None:
    inbox = Inbox("What?")
    for number in range(4):
        inbox.put(sent("image", number))
    work = inbox.take()
    assert (work.number, work.dropped, work.value) == (3, 3, 3)  # type: ignore[union-attr]
    inbox.put(sent("image", 4))
    inbox.put(LAST)
    assert inbox.take().dropped == 3  # type: ignore[union-attr]
    assert inbox.take() is None
    assert (inbox.frames, inbox.dropped) == (5, 3)


def test_a_new_question_is_asked_about_the_newest_frame_again_and_drops_none() -> None:
    inbox = Inbox("")
    inbox.put(sent("image", 0))
    inbox.put(sent("question", pyarrow.array(["first"])))
    assert inbox.take().question == "first"  # type: ignore[union-attr]
    inbox.put(sent("question", pyarrow.array(["second"])))
    work = inbox.take()
    assert (work.number, work.question, work.dropped) == (0, "second", 0)  # type: ignore[union-attr]


def test_without_a_question_or_a_frame_there_is_no_work() -> None:
    for event in (sent("image", 0), sent("question", pyarrow.array(["What?"])), sent("other")):
        inbox = Inbox("")
        inbox.put(event)
        inbox.put(LAST)
        assert inbox.take() is None


@pytest.mark.parametrize("value", [pyarrow.array([1]), pyarrow.array([" "]), pyarrow.array(["a", "b"]), None, b"What?"])
def test_what_is_no_question_is_told_and_the_last_question_stays(value: Any) -> None:
    inbox = Inbox("What?")
    inbox.put(sent("question", value))
    assert inbox.take() == ["the input `question` is not a question; send an array with one string"]
    inbox.put(sent("image", 0))
    assert inbox.take().question == "What?"  # type: ignore[union-attr]


def test_an_error_of_dora_is_told_in_one_line() -> None:
    inbox = Inbox("What?")
    inbox.put({"type": "ERROR", "error": "lost\nbacktrace"})
    assert inbox.take() == ["lost"]


def test_an_ordered_stop_leaves_what_is_there_alone() -> None:
    inbox = Inbox("What?")
    inbox.put(sent("image", 0))
    inbox.put(STOP)
    assert inbox.take() is None
    assert inbox.stopped
