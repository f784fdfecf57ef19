"""A video becomes pictures, those that its model is shown: a frame a second, and the frames between them stacked."""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from uhd_edge.engines.extras import extra_needed
from uhd_edge.runtime.errors import UhdError, VideoError
from uhd_edge.runtime.images.frame_stacks import (
    FRAME_PIXELS,
    MOST_STACKED,
    Moment,
    sample_times,
    stack_pictures,
    stacked_moments,
)
from uhd_edge.runtime.images.input_file import check_file, reason
from uhd_edge.runtime.images.loading import DEFAULT_MAX_PIXELS, load_image
from uhd_edge.runtime.images.video_decoding import Allowance, DecodedVideo, too_large
from uhd_edge.runtime.images.video_file import measured_seconds, opened_video, told_seconds
from uhd_edge.runtime.validation import require_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeGuard

    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

    from uhd_edge.runtime.images.limited_image import LimitedImage
    from uhd_edge.runtime.images.loading import ImageInput

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in ("3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "webm", "wmv")
)

MAX_FRAMES = 128  # of a video, as on the card of MiniCPM-V 4.6
BYTES = "the video in bytes"  # the name of one without a path

_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


@dataclass(frozen=True, eq=False)
class Video:
    """A video to ask about, in place of an image: at most `max_frames` of its frames are shown, one view each.

    With `stack_frames` N above 1, each of these frames is followed by a picture of the N - 1 frames
    that share its second, side by side, as on the card of MiniCPM-V 4.6: more of what moves for
    one view more.

    `source` is the path of a video, whatever its suffix, the bytes of its file, or frames at hand,
    such as a camera's of the last seconds: a sequence of images as `Assistant.ask` takes them, or uint8
    [N, H, W, 3] in RGB. Of more than `max_frames` of these that many are taken, evenly. With
    `stack_frames` N, every N frames at hand, all of one size, count as a second.
    """

    source: str | os.PathLike[str] | bytes | Sequence[ImageInput] | NDArray[np.generic]
    max_frames: int = MAX_FRAMES
    stack_frames: int = 1

    def frames(self) -> list[Image.Image]:
        """Decode the pictures that are shown; raises what `video_frames` raises, and `ImageError` for a wrong frame."""
        if isinstance(self.source, str | os.PathLike | bytes):
            return video_frames(self.source, max_frames=self.max_frames, stack_frames=self.stack_frames)
        max_frames, per_second = _checked(self.max_frames), _checked_stack(self.stack_frames)
        if not isinstance(self.source, list | tuple | np.ndarray) or len(self.source) == 0:
            raise VideoError("a video is the path of a file or a list of at least one frame; give one of them")
        seconds = math.ceil(len(self.source) / per_second)
        shown: list[Image.Image] = []
        for second in np.linspace(0, seconds - 1, min(seconds, max_frames), dtype=int).tolist():
            places = range(second * per_second, min((second + 1) * per_second, len(self.source)))
            main, *others = [load_image(self.source[place]) for place in places]
            shown += [main, stack_pictures(others)] if others else [main]
        return shown


# What a question may be about: an image, or a video in place of one.
MediaInput: TypeAlias = "ImageInput | LimitedImage | Video"


def is_video(source: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether this is the path of a video, by its suffix."""
    return isinstance(source, str | os.PathLike) and Path(os.fsdecode(source)).suffix.lower() in SUFFIXES


def video_frames(
    source: str | os.PathLike[str] | bytes,
    *,
    max_frames: int = MAX_FRAMES,
    stack_frames: int = 1,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> list[Image.Image]:
    """Decode one frame a second, or of a video longer than `max_frames` seconds that many, evenly.

    The frames are those that transformers' `MiniCPMV4_6VideoProcessor` samples: the ones
    shown at these moments. They are upright RGB images; one over a megapixel is made
    smaller. One that is shown for several seconds comes once. Nothing else is kept in memory,
    and long stretches in between are skipped where key frames allow it. `source` is a path, or the bytes of a
    file of one of the usual kinds (MP4, Matroska, WebM, AVI, MPEG, Ogg, FLV, ASF).

    With `stack_frames` N above 1, up to 16, a picture of the N - 1 frames between follows each of
    them, and a frame that is shown for longer comes every time; see `Video`. A stack of more than
    two megapixels is made of smaller frames.

    Raises `VideoError` (an `ImageError`) for a file that is missing, empty, damaged, or
    without pictures, and for a frame of more than `max_pixels` pixels, `OptionError` for
    `max_frames` or `stack_frames` below 1, and `MissingExtraError` where PyAV is not installed.
    """
    return decode_video(source, max_frames=max_frames, stack_frames=stack_frames, max_pixels=max_pixels)


def decode_video(
    source: str | os.PathLike[str] | bytes,
    *,
    max_frames: int,
    stack_frames: int = 1,
    per_second: float = 1.0,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    allowance: Allowance | None = None,
) -> list[Image.Image]:
    """Decode what `video_frames` does, or another number of frames a second than one where they are not stacked.

    Raises what `video_frames` raises, and `VideoError` for more decoding than the `allowance` of a stranger's video.
    """
    max_frames, stack_frames = _checked(max_frames), _checked_stack(stack_frames)
    name = BYTES if isinstance(source, bytes) else check_file(source, kind="video", error_class=VideoError)
    with extra_needed("video", "reading a video"):
        import av  # noqa: F401  # told before anything else is wrong
    allowance = allowance or Allowance()
    with _video_errors(name), opened_video(source, max_pixels=max_pixels) as container:
        if not container.streams.video:
            raise VideoError(f"{name}: has no pictures in it; give a video, not a recording of sound")
        stream = container.streams.video[0]
        if stream.width * stream.height > max_pixels:
            raise too_large(name, f"frames of {stream.width} x {stream.height} pixels are", max_pixels)
        stream.thread_type = "AUTO"
        seconds = told_seconds(container, stream) or measured_seconds(source, max_pixels=max_pixels)
        video = DecodedVideo(container, source, name, max_pixels=max_pixels, allowance=allowance)
        if stack_frames > 1:
            frames = _stacked(video, stacked_moments(seconds, max_frames, stack_frames))
        else:
            shown = video.shown_at(sample_times(seconds, max_frames, per_second))
            frames = [_upright(frame, FRAME_PIXELS) for frame in _distinct(shown)]
    if not frames:
        raise VideoError(f"{name}: no frame could be decoded; the video is empty or damaged")
    return frames


def _stacked(video: DecodedVideo, moments: Sequence[Moment]) -> list[Image.Image]:
    """Decode the frames of all moments in the order of time, and stack those between two seconds."""
    wanted = sorted((time, number) for number, moment in enumerate(moments) for time in moment.times)
    frames: dict[tuple[float, int], Image.Image] = {}
    for (time, number), frame in zip(wanted, video.shown_at([time for time, _ in wanted]), strict=False):
        frames[time, number] = _upright(frame, moments[number].frame_pixels)
    places = ([(time, number) for time in moment.times] for number, moment in enumerate(moments))
    groups = [[frames[place] for place in group if place in frames] for group in places]
    return [stack_pictures(group) for group in groups if group]


def _checked_stack(stack_frames: int) -> int:
    return require_whole("stack_frames", stack_frames, 1, MOST_STACKED)


def _checked(max_frames: int) -> int:
    return require_whole("max_frames", max_frames, 1, 10_000)


def _distinct(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Leave out a frame that is the one before it."""
    before = None
    for frame in frames:
        if frame is not before:
            yield frame
        before = frame


def _upright(frame: VideoFrame, most_pixels: int) -> Image.Image:
    """Turn a frame as the camera was held, and make it no larger than is of use."""
    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    scale = math.sqrt(most_pixels / (image.width * image.height))
    if scale < 1:
        image = image.resize(
            (max(1, int(image.width * scale)), max(1, int(image.height * scale))), Image.Resampling.BICUBIC
        )
    turn = _TURNS.get(round(frame.rotation) % 360)
    return image if turn is None else image.transpose(turn)


@contextmanager
def _video_errors(name: str) -> Iterator[None]:
    """Turn whatever FFmpeg raises into a `VideoError`."""
    try:
        yield
    except UhdError:
        raise
    except Exception as error:  # its many demuxers and decoders raise whatever they trip over
        raise VideoError(f"{name}: not a video, or damaged ({reason(error)})") from error
