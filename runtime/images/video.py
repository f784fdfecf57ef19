"""A video becomes frames, a second apart: those that its model is shown."""

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
from uhd_edge.runtime.images.input_file import check_file, reason
from uhd_edge.runtime.images.loading import DEFAULT_MAX_PIXELS, load_image
from uhd_edge.runtime.validation import require_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeGuard

    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from uhd_edge.runtime.images.loading import ImageInput

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in ("3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "webm", "wmv")
)

MAX_FRAMES = 128  # of a video, as on the card of MiniCPM-V 4.6
FRAME_PIXELS = 2**20  # of a frame; it becomes one view of about 0.2 megapixels, and 128 of them are 0.5 GB
SEEK_SECONDS = 10.0  # a shorter way is decoded through, which costs less than starting again at a key frame

_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


@dataclass(frozen=True, eq=False)
class Video:
    """A video to ask about, in place of an image: at most `max_frames` of its frames are shown, one view each.

    `source` is the path of a video, whatever its suffix, or frames at hand, such as a camera's
    of the last seconds: a sequence of images as `Assistant.ask` takes them, or uint8
    [N, H, W, 3] in RGB. Of more than `max_frames` of these that many are taken, evenly.
    """

    source: str | os.PathLike[str] | Sequence[ImageInput] | NDArray[np.generic]
    max_frames: int = MAX_FRAMES

    def frames(self) -> list[Image.Image]:
        """Decode the frames that are shown; raises what `video_frames` raises, and `ImageError` for a wrong frame."""
        if isinstance(self.source, str | os.PathLike):
            return video_frames(self.source, max_frames=self.max_frames)
        max_frames = _checked(self.max_frames)
        if not isinstance(self.source, list | tuple | np.ndarray) or len(self.source) == 0:
            raise VideoError("a video is the path of a file or a list of at least one frame; give one of them")
        count = len(self.source)
        places = np.linspace(0, count - 1, min(count, max_frames), dtype=int)
        return [load_image(self.source[place]) for place in places.tolist()]


# What a question may be about: an image, or a video in place of one.
MediaInput: TypeAlias = "ImageInput | Video"


def is_video(source: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether this is the path of a video, by its suffix."""
    return isinstance(source, str | os.PathLike) and Path(os.fsdecode(source)).suffix.lower() in SUFFIXES


def video_frames(path: str | os.PathLike[str], *, max_frames: int = MAX_FRAMES) -> list[Image.Image]:
    """Decode one frame a second, or of a video longer than `max_frames` seconds that many, evenly.

    The frames are those that transformers' `MiniCPMV4_6VideoProcessor` samples: the ones
    shown at these moments. They are upright RGB images; one over a megapixel is made
    smaller. One that is shown for several seconds comes once. Nothing else is kept in memory,
    and long stretches in between are skipped at key frames.

    Raises `VideoError` (an `ImageError`) for a file that is missing, empty, damaged, or
    without pictures, `OptionError` for `max_frames` below 1, and `MissingExtraError` where
    PyAV is not installed.
    """
    max_frames = _checked(max_frames)
    name = check_file(path, kind="video", error_class=VideoError)
    with extra_needed("video", "reading a video"):
        import av  # noqa: F401  # told before anything else is wrong
    with _video_errors(name), _opened(path) as container:
        if not container.streams.video:
            raise VideoError(f"{name}: has no pictures in it; give a video, not a recording of sound")
        stream = container.streams.video[0]
        if stream.width * stream.height > DEFAULT_MAX_PIXELS:
            raise VideoError(f"{name}: frames of {stream.width} x {stream.height} pixels are too large")
        stream.thread_type = "AUTO"
        times = sample_times(_seconds(container, stream) or _measured_seconds(path), max_frames)
        frames = [_upright(frame) for frame in _shown_at(container, stream, times)]
    if not frames:
        raise VideoError(f"{name}: no frame could be decoded; the video is empty or damaged")
    return frames


def sample_times(seconds: float, max_frames: int) -> list[float]:
    """Seconds from the start at which a video of this length is looked at, at most `max_frames` of them."""
    if seconds <= max_frames:
        return [float(second) for second in range(max(1, math.ceil(seconds)))]
    tenths = np.linspace(0, int(seconds / 0.1) - 1, max_frames, dtype=int)
    return [tenth / 10 for tenth in tenths.tolist()]


def _checked(max_frames: int) -> int:
    return require_whole("max_frames", max_frames, 1, 10_000)


def _opened(path: str | os.PathLike[str]) -> InputContainer:
    """Open a video, and nothing that it names."""
    import av

    return av.open(os.fsdecode(path), options={"protocol_whitelist": "file"})


def _seconds(container: InputContainer, stream: VideoStream) -> float:
    """Length of the video by its number of frames, as the reference has it, or by what the file says."""
    if stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return container.duration / 1e6
    return 0.0


def _measured_seconds(path: str | os.PathLike[str]) -> float:
    """Length by the last frame, for files whose header has none, such as live recordings."""
    last = 0.0
    with _opened(path) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if packet.pts is not None and packet.time_base:
                end = packet.pts + (packet.duration or 0) - (stream.start_time or 0)
                last = max(last, float(end * packet.time_base))
    return last


def _shown_at(container: InputContainer, stream: VideoStream, times: Sequence[float]) -> Iterator[VideoFrame]:
    """Decode the frame that is shown at each of these seconds, each frame once."""
    start = float((stream.start_time or 0) * (stream.time_base or 0))
    frames = container.decode(stream)
    following = next(frames, None)
    shown, given = None, None
    for time in times:
        if following is not None and time - _time(following, start) > SEEK_SECONDS and stream.time_base:
            frames, following = _from_key_frame(container, stream, time, start)
        while following is not None and (shown is None or _time(following, start) <= time + 1e-6):
            shown, following = following, next(frames, None)
        if shown is None or shown is given:
            continue
        given = shown
        yield shown


def _from_key_frame(
    container: InputContainer, stream: VideoStream, time: float, start: float
) -> tuple[Iterator[VideoFrame], VideoFrame | None]:
    """Go to a key frame at or before `time`; transport streams lead behind the place that is asked for."""
    for earlier in (0.0, SEEK_SECONDS, 10 * SEEK_SECONDS, time):
        place = start + max(time - earlier, 0.0)
        container.seek(int(place / (stream.time_base or 1)), stream=stream)
        frames = container.decode(stream)
        first = next(frames, None)
        if first is not None and _time(first, start) <= time + 1e-6:
            break
    return frames, first


def _time(frame: VideoFrame, start: float) -> float:
    return 0.0 if frame.time is None else frame.time - start


def _upright(frame: VideoFrame) -> Image.Image:
    """Turn a frame as the camera was held, and make it no larger than is of use."""
    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    scale = math.sqrt(FRAME_PIXELS / (image.width * image.height))
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
