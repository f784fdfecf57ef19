"""A video that is made to take long, or much memory, takes no more than is allowed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.images.videos import jpeg_frames, make_video, one_key_frame

from uhd_edge.runtime import video_frames
from uhd_edge.runtime.errors import VideoError
from uhd_edge.runtime.images.video import decode_video
from uhd_edge.runtime.images.video_decoding import LEAST_PIXELS, Allowance

if TYPE_CHECKING:
    from pathlib import Path

PLENTY = 10**12


def decoded(video: bytes | Path, *, size: int = LEAST_PIXELS, max_frames: int = 128) -> float:
    """How many frames of so many pixels were decoded."""
    allowance = Allowance(PLENTY)
    decode_video(video, max_frames=max_frames, allowance=allowance)
    assert allowance.pixels is not None
    return (PLENTY - allowance.pixels) / size


@pytest.mark.parametrize("seconds_apart", [5, 15])
def test_frames_between_two_samples_are_decoded_once(seconds_apart: int) -> None:
    video = one_key_frame(60, seconds_apart=seconds_apart)
    assert decoded(video) == 60
    assert decoded(video, max_frames=12) == 60


def test_frames_before_a_nearer_key_frame_are_skipped(tmp_path: Path) -> None:
    """It has a key frame every 12 frames, which are 1.2 seconds."""
    file = make_video(tmp_path / "long.mp4", 1990)
    assert decoded(file, max_frames=7) < 7 * 30


def test_more_decoding_than_is_allowed_is_refused() -> None:
    video = one_key_frame(60, size=256)
    allowance = Allowance(20 * 256 * 256)
    with pytest.raises(VideoError, match=r"more than 1310720 pixels to decode.*send a shorter or smaller one"):
        decode_video(video, max_frames=128, allowance=allowance)
    assert len(decode_video(video, max_frames=128, allowance=Allowance(60 * 256 * 256))) == 60


def test_decoding_ends_at_the_next_frame_once_nobody_waits_for_it() -> None:
    asked = iter([False] * 10 + [True] * 1000)
    allowance = Allowance(PLENTY, stopped=lambda: next(asked))
    with pytest.raises(VideoError, match="nobody waits"):
        decode_video(one_key_frame(60), max_frames=128, allowance=allowance)
    assert allowance.pixels == PLENTY - 10 * LEAST_PIXELS


@pytest.mark.parametrize("sizes", [[64] * 10 + [9000], [64, 9000, 64], [9000]])
def test_a_frame_that_is_larger_than_the_head_says_is_refused_undecoded(tmp_path: Path, sizes: list[int]) -> None:
    file = tmp_path / "grows.avi"
    file.write_bytes(jpeg_frames(sizes))
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from uhd_edge.bench.memory import peak_memory\n"
        "from uhd_edge.runtime.errors import VideoError\n"
        "from uhd_edge.runtime.images.video import video_frames\n"
        "data = Path(sys.argv[1]).read_bytes()\n"
        "import av, numpy\n"
        "before = peak_memory()\n"
        "try:\n"
        "    video_frames(data, max_pixels=25_000_000)\n"
        "except VideoError as error:\n"
        "    print(error, peak_memory() - before, sep='|')"
    )
    child = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True, check=True)
    said, grown = child.stdout.split("|")
    assert "too large" in said
    assert int(grown) < 80e6  # the frame alone is 121 MB, and 243 MB as a picture


def test_a_frame_a_little_larger_than_is_allowed_is_refused_too() -> None:
    with pytest.raises(VideoError, match="a frame of 80 x 80 pixels is too large, over the limit of 5000 pixels"):
        video_frames(jpeg_frames([64, 80]), max_pixels=5000)
