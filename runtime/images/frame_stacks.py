"""Which moments of a video are looked at, and several of its frames as one picture.

Both follow transformers' `MiniCPMV4_6VideoProcessor`, its moments to the frame and its pictures to the pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from uhd_edge.runtime.errors import VideoError

if TYPE_CHECKING:
    from collections.abc import Sequence

FRAME_PIXELS = 2**20  # of a frame; it becomes one view of about 0.2 megapixels, and 128 of them are 0.5 GB
STACK_PIXELS = 2 * FRAME_PIXELS  # of the frames in one picture together
MOST_STACKED = 16
LINE = 6  # black pixels between the frames of a picture


@dataclass(frozen=True)
class Moment:
    """A picture of a video: the frames that are shown `times` seconds after its start, in order."""

    times: tuple[float, ...]

    @property
    def frame_pixels(self) -> int:
        """Most pixels of each of its frames."""
        return min(FRAME_PIXELS, STACK_PIXELS // len(self.times))


def sample_times(seconds: float, max_frames: int, per_second: float = 1.0) -> list[float]:
    """Seconds from the start at which a video of this length is looked at: so many a second, or `max_frames` evenly."""
    if seconds * per_second <= max_frames:
        return [number / per_second for number in range(max(1, math.ceil(seconds * per_second)))]
    tenths = np.linspace(0, int(seconds / 0.1) - 1, max_frames, dtype=int)
    return [tenth / 10 for tenth in tenths.tolist()]


def stacked_moments(seconds: float, max_frames: int, stack_frames: int) -> list[Moment]:
    """Return the moments of `sample_times`, each followed by that of the frames between it and the next second.

    `stack_frames` are looked at in a second, the first of them alone. Of a video longer than
    `max_frames` seconds the reference pairs the first moment with the frames of the first second
    that has any, the next with the next, and leaves the rest out; so does this.
    """
    whole = math.ceil(seconds)
    between = [
        second + part / stack_frames
        for second in range(whole)
        for part in range(1, stack_frames)
        if second + part / stack_frames < seconds
    ]
    most = max_frames * (stack_frames - 1)
    if len(between) > most:
        between = [between[place] for place in np.linspace(0, len(between) - 1, most, dtype=int).tolist()]
    groups = [tuple(time for time in between if second <= time < second + 1) for second in range(whole)]
    moments: list[Moment] = []
    for number, time in enumerate(sample_times(seconds, max_frames)):
        moments.append(Moment((time,)))
        if number < len(groups) and groups[number]:
            moments.append(Moment(groups[number]))
    return moments


def stack_pictures(frames: Sequence[Image.Image]) -> Image.Image:
    """Put frames of one size side by side into one picture, as near to a square as their number allows.

    Four make two rows; other numbers one row or, of two and three, one column. Raises
    `VideoError` for frames of different sizes.
    """
    width, height = frames[0].size
    if any(frame.size != (width, height) for frame in frames):
        raise VideoError("the frames of a video have different sizes, so they cannot be stacked; use stack_frames=1")
    rows, columns = _grid(len(frames), width, height)
    picture = Image.new("RGB", (columns * (width + LINE) - LINE, rows * (height + LINE) - LINE))
    for number, frame in enumerate(frames):
        picture.paste(frame, (number % columns * (width + LINE), number // columns * (height + LINE)))
    return picture


def _grid(count: int, width: int, height: int) -> tuple[int, int]:
    """Return (rows, columns)."""
    if count == 4:
        return 2, 2
    if count not in (2, 3):
        return 1, count
    in_a_row = (count * (width + LINE) - LINE) / height
    in_a_column = width / (count * (height + LINE) - LINE)
    from_row, from_column = abs(in_a_row - 1), abs(in_a_column - 1)
    if from_row == from_column:
        return (1, count) if count == 3 or width >= height else (count, 1)
    return (1, count) if from_row < from_column else (count, 1)
