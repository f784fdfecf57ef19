"""Videos: which frames are taken, and that they stand upright."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.images.videos import LEVELS, make_video
from transformers.models.minicpmv4_6.video_processing_minicpmv4_6 import MiniCPMV4_6VideoProcessor

from uhd_edge.runtime import Video, video_frames
from uhd_edge.runtime.images.frame_stacks import FRAME_PIXELS, sample_times
from uhd_edge.runtime.images.video import MAX_FRAMES, is_video

if TYPE_CHECKING:
    from pathlib import Path


def numbers(frames: list[Image.Image]) -> list[int]:
    return [round(float(np.asarray(frame)[-4:, -4:].mean())) - 50 for frame in frames]


def reference_indices(seconds: float, rate: float, max_frames: int) -> list[int]:
    metadata = SimpleNamespace(duration=seconds, fps=rate, total_num_frames=round(seconds * rate))
    defaults = SimpleNamespace(max_num_frames=max_frames, stack_frames=1)
    indices: list[int] = MiniCPMV4_6VideoProcessor.sample_frames(defaults, metadata)
    return indices


@given(tenths=st.integers(1, 100_000), rate=st.sampled_from([10, 24, 25, 30, 60]), max_frames=st.integers(1, 200))
def test_the_moments_are_those_of_transformers(tenths: int, rate: int, max_frames: int) -> None:
    """Compared as frames of a video with a constant rate; the last is as far as there are frames."""
    last = tenths * rate // 10 - 1
    if last < 0:
        return
    ours = [min(int(time * rate), last) for time in sample_times(tenths / 10, max_frames)]
    assert ours == [min(index, last) for index in reference_indices(tenths / 10, rate, max_frames)]
    assert len(ours) <= max_frames


@pytest.mark.parametrize("kind", ["mp4", "mkv", "mov", "avi"])
def test_a_frame_a_second_is_taken(tmp_path: Path, kind: str) -> None:
    frames = video_frames(make_video(tmp_path / f"clip.{kind}", 55))
    assert all(frame.mode == "RGB" and frame.size == (64, 48) for frame in frames)
    assert numbers(frames) == pytest.approx(reference_indices(5.5, 10, MAX_FRAMES), abs=3)


def test_of_a_long_video_frames_are_taken_evenly_from_begin_to_end(tmp_path: Path) -> None:
    """Long enough that stretches are skipped, with two key frames in between at the most."""
    file = make_video(tmp_path / "long.mp4", 1990)
    frames = video_frames(file, max_frames=7)
    expected = reference_indices(199.0, 10, 7)
    assert expected[-1] == 1989
    assert numbers(frames) == pytest.approx([index % LEVELS for index in expected], abs=3)
    assert len(video_frames(file)) == MAX_FRAMES


def test_a_transport_stream_leads_behind_a_place_and_its_frames_are_found_all_the_same(tmp_path: Path) -> None:
    frames = video_frames(make_video(tmp_path / "camera.m2ts", 990, codec="mpeg2video", rate=25), max_frames=3)
    expected = [index % LEVELS for index in reference_indices(39.6, 25, 3)]
    assert numbers(frames) == pytest.approx(expected, abs=3)


def test_a_video_that_does_not_say_how_long_it_is_is_measured(tmp_path: Path) -> None:
    """As browsers record: nothing is written into its head afterwards."""
    file = make_video(tmp_path / "browser.webm", 550, codec="libvpx", options={"live": "1"})
    with av.open(str(file)) as container:
        assert not container.duration
    assert len(video_frames(file)) == 55
    expected = [index % LEVELS for index in reference_indices(55.0, 10, 3)]
    assert numbers(video_frames(file, max_frames=3)) == pytest.approx(expected, abs=3)


def test_a_long_video_is_not_in_memory_as_a_whole(tmp_path: Path) -> None:
    """Its 900 frames are 1.7 GB."""
    file = make_video(tmp_path / "large.mp4", 300, rate=5, size=(1280, 720))
    program = (
        "import sys\n"
        "from uhd_edge.bench.memory import peak_memory\n"
        "from uhd_edge.runtime.images.video import video_frames\n"
        "before = peak_memory()\n"
        "frames = video_frames(sys.argv[1], max_frames=20)\n"
        "print(len(frames), peak_memory() - before)"
    )
    child = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True, check=True)
    frames, grown = map(int, child.stdout.split())
    assert frames == 20
    assert grown < 300e6


def test_a_frame_that_stays_comes_once(tmp_path: Path) -> None:
    file = make_video(tmp_path / "slow.mkv", 3, rate=1)
    with av.open(str(file)) as source, av.open(str(tmp_path / "slower.mkv"), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts * 5, packet.pts * 5, stream
                copy.mux(packet)
    assert len(video_frames(tmp_path / "slower.mkv")) == 3


@pytest.mark.parametrize(("turned", "corner"), [(90, (-1, 0)), (-90, (0, -1)), (180, (-1, -1)), (0, (0, 0))])
def test_frames_stand_upright(tmp_path: Path, turned: int, corner: tuple[int, int]) -> None:
    """The upper left quarter is dark, and goes where counterclockwise turning brings it."""
    (frame,) = video_frames(make_video(tmp_path / "turned.mp4", 5, turned=turned))
    assert frame.size == ((64, 48) if turned in (0, 180) else (48, 64))
    pixels = np.asarray(frame)[..., 0].astype(int)
    corners = {place: pixels[place] for place in ((0, 0), (0, -1), (-1, 0), (-1, -1))}
    assert min(corners, key=lambda place: corners[place]) == corner


def test_a_large_frame_becomes_smaller_in_the_same_shape(tmp_path: Path) -> None:
    (frame,) = video_frames(make_video(tmp_path / "large.mp4", 2, size=(1920, 1080)))
    assert FRAME_PIXELS * 0.99 < frame.width * frame.height <= FRAME_PIXELS
    assert frame.width / frame.height == pytest.approx(16 / 9, abs=0.01)


def test_a_video_is_known_by_its_suffix() -> None:
    assert is_video("a/clip.MP4")
    assert not is_video("clip.gif")
    assert not is_video(b"clip.mp4")
    assert not is_video(Image.new("RGB", (2, 2)))


def test_of_too_many_frames_at_hand_some_are_taken_evenly() -> None:
    frames = [Image.new("L", (2, 2), number) for number in range(11)]
    assert [frame.getpixel((0, 0))[0] for frame in Video(frames, 3).frames()] == [0, 5, 10]  # type: ignore[index]
    assert len(Video(frames).frames()) == 11
