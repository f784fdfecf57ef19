"""Questions about a video are questions about its frames, in one view each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.images.videos import make_video

from uhd_edge.runtime import Assistant, Video, video_frames
from uhd_edge.runtime.errors import ContextError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_video_is_asked_about_as_its_frames_in_one_view_each(tmp_path: Path) -> None:
    file = make_video(tmp_path / "clip.mp4", 35, size=(640, 480))
    with Assistant(threads=1) as assistant:
        answer = assistant.ask([file], "What is labelled FEC?", max_tokens=3)
        assert len(answer.views) == len(video_frames(file)) == 4
        with assistant.session(file) as session:
            first = session.ask("What is labelled FEC?", max_tokens=3)
            second = session.ask("Which object is the leftmost?", max_tokens=3)
        assert first.text == answer.text
        assert len(first.views) == len(second.views) == 4
        assert max(plan.max_slices for plan in assistant.plans([file], "What?")) == 1


def test_a_video_too_long_for_the_context_is_told_how_many_of_its_frames_fit(tmp_path: Path) -> None:
    file = make_video(tmp_path / "clip.mp4", 60)
    with Assistant(threads=1, context=64) as assistant:
        with pytest.raises(ContextError, match=r"use --max-frames \d+, or use --context") as caught:
            assistant.ask(file, "What?")
        fitting = int(str(caught.value).split("--max-frames ")[1].split(",")[0])
        assert len(assistant.ask(Video(file, fitting), "What?", max_tokens=1).views) == fitting
        with pytest.raises(ContextError, match=rf"use --max-frames {fitting},"):
            assistant.ask(Video(file, fitting + 1), "What?")
        with pytest.raises(ContextError, match="use a shorter video"):
            assistant.ask([file, file], "What?")


def test_frames_at_hand_are_asked_about_as_the_video_they_are_from(tmp_path: Path) -> None:
    file = make_video(tmp_path / "clip.mp4", 35, size=(640, 480))
    frames = video_frames(file)
    asked = "What is labelled FEC?"
    with Assistant(threads=1) as assistant:
        expected = assistant.ask(file, asked, max_tokens=3)
        for video in (Video(file), Video(frames), Video(np.stack([np.asarray(frame) for frame in frames]))):
            answer = assistant.ask(video, asked, max_tokens=3)
            assert (answer.text, answer.usage) == (expected.text, expected.usage)
            assert answer.reused_views == len(answer.views) == 4
        assert assistant.ask(frames, asked, max_tokens=3).usage != expected.usage  # four images
