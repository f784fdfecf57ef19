"""Frames between two seconds become one picture: the moments, the pairs and the pixels are those of transformers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.images.videos import make_video
from transformers.models.minicpmv4_6.video_processing_minicpmv4_6 import MiniCPMV4_6VideoProcessor

from uhd_edge.runtime import Assistant, Video, video_frames
from uhd_edge.runtime.errors import ContextError, OptionError, VideoError
from uhd_edge.runtime.images.frame_stacks import FRAME_PIXELS, STACK_PIXELS, stack_pictures, stacked_moments

if TYPE_CHECKING:
    from pathlib import Path


def numbered(count: int, size: tuple[int, int] = (4, 3)) -> list[Image.Image]:
    return [Image.new("RGB", size, (number % 251 + 1, number // 251, 7)) for number in range(count)]


def reference_pictures(
    frames: list[Image.Image], rate: int, max_frames: int, stack_frames: int
) -> list[np.ndarray[Any, Any]]:
    """What transformers' processor makes of a video before it resizes anything; its patches have one pixel here."""
    metadata = SimpleNamespace(duration=len(frames) / rate, fps=rate, total_num_frames=len(frames))
    kind: Any = MiniCPMV4_6VideoProcessor
    defaults = SimpleNamespace(max_num_frames=max_frames, stack_frames=stack_frames)
    indices = kind.sample_frames(defaults, metadata)
    shown = [np.asarray(frames[min(index, len(frames) - 1)]) for index in indices]
    video = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)
    itself = SimpleNamespace(
        concat_frames_as_image=lambda frames: kind.concat_frames_as_image(None, frames),
        rescale_and_normalize=lambda videos, *_: videos,
        reshape_by_patch=lambda videos, patch: kind.reshape_by_patch(None, videos.float(), patch),
    )
    plain: dict[str, Any] = dict.fromkeys(("resample", "do_rescale", "rescale_factor", "do_normalize"))
    plain |= dict.fromkeys(("image_mean", "image_std", "max_slice_nums", "scale_resolution", "slice_mode"))
    made = kind._preprocess(
        itself,
        [video],
        do_resize=False,
        patch_size=1,
        stack_frames=stack_frames,
        max_num_frames=max_frames,
        video_metadata=[metadata],
        return_tensors="pt",
        **plain,
    )
    pictures, start = [], 0
    for height, width in made["target_sizes_videos"].tolist():
        pixels = made["pixel_values_videos"][0, :, 0, start : start + height * width]
        pictures.append(pixels.reshape(3, height, width).permute(1, 2, 0).numpy().astype(np.uint8))
        start += height * width
    return pictures


@given(
    count=st.integers(1, 130),
    rate=st.sampled_from([5, 8, 12]),
    max_frames=st.integers(1, 12),
    stack_frames=st.integers(2, 7),
    size=st.sampled_from([(4, 3), (3, 4), (5, 5), (30, 9), (9, 30)]),
)
def test_pictures_equal_those_of_transformers(
    count: int, rate: int, max_frames: int, stack_frames: int, size: tuple[int, int]
) -> None:
    frames = numbered(count, size)
    moments = stacked_moments(count / rate, max_frames, stack_frames)
    shown = [[frames[min(int(time * rate), count - 1)] for time in moment.times] for moment in moments]
    ours = [np.asarray(stack_pictures(group)) for group in shown]
    expected = reference_pictures(frames, rate, max_frames, stack_frames)
    assert len(ours) == len(expected)
    for one, other in zip(ours, expected, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(("count", "stack_frames"), [(1, 3), (3, 3), (8, 3), (9, 2), (23, 5)])
def test_frames_at_hand_are_stacked_as_a_video_of_so_many_frames_a_second(count: int, stack_frames: int) -> None:
    frames = numbered(count)
    ours = [np.asarray(picture) for picture in Video(frames, stack_frames=stack_frames).frames()]
    expected = reference_pictures(frames, stack_frames, 128, stack_frames)
    assert [one.tolist() for one in ours] == [other.tolist() for other in expected]


def test_the_frames_of_a_file_are_stacked_between_its_seconds(tmp_path: Path) -> None:
    file = make_video(tmp_path / "clip.mp4", 25)  # ten frames a second
    pictures = video_frames(file, stack_frames=3)
    assert [picture.size for picture in pictures] == [(64, 48), (64, 102), (64, 48), (64, 102), (64, 48), (64, 48)]
    last = np.asarray(pictures[1])[[40, 95], 60].mean(axis=-1) - 50
    assert last == pytest.approx([3, 6], abs=3)


def test_of_large_frames_a_stack_is_made_of_smaller_ones(tmp_path: Path) -> None:
    main, stack = video_frames(make_video(tmp_path / "large.mp4", 9, size=(1920, 1080)), stack_frames=5, max_frames=1)
    assert FRAME_PIXELS * 0.99 < main.width * main.height <= FRAME_PIXELS
    assert STACK_PIXELS * 0.98 < stack.width * stack.height < STACK_PIXELS * 1.02


def test_a_stack_is_shown_in_one_view_and_counted_in_what_would_fit(tmp_path: Path) -> None:
    file = make_video(tmp_path / "clip.mp4", 60)
    with Assistant(threads=1, context=96) as assistant:
        with pytest.raises(ContextError, match=r"use --max-frames \d+, or use --context") as caught:
            assistant.ask(Video(file, stack_frames=3), "What?")
        fitting = int(str(caught.value).split("--max-frames ")[1].split(",")[0])
        answer = assistant.ask(Video(file, fitting, stack_frames=3), "What?", max_tokens=1)
        assert len(answer.views) == 2 * fitting


@pytest.mark.parametrize("stack_frames", [0, 17, 1.5, "3"])
def test_a_senseless_number_of_frames_is_refused(stack_frames: Any) -> None:
    with pytest.raises(OptionError, match="stack_frames"):
        Video(numbered(3), stack_frames=stack_frames).frames()


def test_frames_of_different_sizes_are_not_stacked() -> None:
    with pytest.raises(VideoError, match="different sizes"):
        Video([*numbered(2), *numbered(1, (5, 5))], stack_frames=3).frames()
