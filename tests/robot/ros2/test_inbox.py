"""The newest frame is taken, jobs come first, and the counts add up, without ROS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uhd_edge.robot.ros2.inbox import Frame, Inbox, Job
from uhd_edge.runtime.errors import BusyError, ImageError, ModelError


def due() -> float:
    return 0.0


def job() -> Job:
    return Job("What?", [], {})


@given(st.lists(st.booleans(), max_size=40))
def test_the_newest_frame_is_taken_and_every_frame_is_accounted_for(events: list[bool]) -> None:
    inbox, taken = Inbox(1), []
    for put in events:
        if put:
            inbox.put_frame(inbox.seen)
        elif inbox.waiting:
            frame = inbox.take(due)
            assert isinstance(frame, Frame)
            assert (frame.message, frame.number) == (inbox.seen - 1, inbox.seen - 1)
            taken.append(frame.number)
        assert inbox.seen == len(taken) + inbox.dropped + inbox.waiting
    assert taken == sorted(set(taken))


def test_jobs_come_before_frames_in_their_order() -> None:
    inbox, first, second = Inbox(2), job(), job()
    inbox.put_frame("frame")
    inbox.put_job(first)
    inbox.put_job(second)
    assert [inbox.take(due), inbox.take(due)] == [first, second]
    assert isinstance(inbox.take(due), Frame)


def test_one_job_is_in_work_and_as_many_wait_as_there_is_room_for() -> None:
    inbox = Inbox(1)
    inbox.put_job(job())
    inbox.take(due)
    inbox.put_job(job())
    with pytest.raises(BusyError):
        inbox.keep_place()
    with pytest.raises(BusyError, match="1 questions are waiting; ask again later"):
        inbox.put_job(job())


def test_after_the_end_nothing_is_taken_and_the_jobs_that_waited_are_told() -> None:
    inbox, waiting = Inbox(1), job()
    inbox.put_job(waiting)
    inbox.put_frame("frame")
    inbox.stop()
    assert inbox.take(due) is None
    assert (waiting.ended.is_set(), waiting.error) == (True, "the node was deactivated")
    with pytest.raises(ModelError, match="activate it first"):
        inbox.put_job(job())


def test_the_newest_frame_can_be_looked_at_without_taking_it() -> None:
    inbox = Inbox(1)
    with pytest.raises(ImageError, match="no frame has come yet"):
        inbox.newest()
    inbox.put_frame("a")
    inbox.put_frame("b")
    assert inbox.newest() == Frame("b", 1, 1)
    assert inbox.take(due) == Frame("b", 1, 1)


def test_a_kept_place_is_for_its_job_until_it_is_given_back() -> None:
    inbox = Inbox(1)
    inbox.put_job(job())
    inbox.take(due)
    inbox.keep_place()
    with pytest.raises(BusyError, match="1 questions are waiting"):
        inbox.put_job(job())
    inbox.put_job(job(), has_place=True)
    inbox.take(due)
    inbox.keep_place()
    inbox.give_place()
    inbox.give_place()
    inbox.put_job(job())
    assert inbox.refused == 1
