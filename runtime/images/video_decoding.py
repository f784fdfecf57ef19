"""The frames of a video are decoded forward, each once, and no more of them than are allowed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import VideoError
from uhd_edge.runtime.images.video_file import opened_video

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

SEEK_SECONDS = 10.0  # a shorter way is decoded through, which costs less than starting again at a key frame
LEAST_PIXELS = 2**14  # what a frame counts at the least, because the smallest takes time too


class Allowance:
    """How much may be decoded: frames of together `pixels` pixels, skipped ones too, until `stopped` says otherwise.

    Several videos may share it. `pixels` is what is left; None is no limit.
    """

    def __init__(self, pixels: int | None = None, *, stopped: Callable[[], bool] = lambda: False) -> None:
        self.pixels = pixels
        self._most = pixels
        self._stopped = stopped

    def require_wanted(self) -> None:
        """Raise `VideoError` if nobody waits for the frames any more."""
        if self._stopped():
            raise VideoError("decoding was stopped, because nobody waits for it any more")

    def spend(self, pixels: int) -> None:
        """Count the pixels of a frame before it is decoded; raises `VideoError` where there are too many."""
        self.require_wanted()
        if self.pixels is None:
            return
        self.pixels -= max(pixels, LEAST_PIXELS)
        if self.pixels < 0:
            raise VideoError(
                f"a video takes more than {self._most} pixels to decode, with the frames in between that are not "
                "looked at; send a shorter or smaller one, or only its frames"
            )


class DecodedVideo:
    """The first stream of pictures of an open video. A frame of over `max_pixels` pixels is refused undecoded."""

    def __init__(
        self,
        container: InputContainer,
        source: str | os.PathLike[str] | bytes,
        name: str,
        *,
        max_pixels: int,
        allowance: Allowance,
    ) -> None:
        self._container = container
        self._source = source
        self._name = name
        self._max_pixels = max_pixels
        self._allowance = allowance
        self._stream = container.streams.video[0]
        self._start = _start(self._stream)

    def shown_at(self, times: Sequence[float]) -> Iterator[VideoFrame]:
        """Decode the frame that is shown at each of these seconds, in order; none where nothing can be decoded.

        What lies in between is decoded too, unless a key frame does: going back to the one before
        would decode the same again for each of the seconds.
        """
        with ExitStack() as held:
            key_frames: _KeyFrames | None = None
            frames = self._decoded()
            following = next(frames, None)
            shown = None
            for time in times:
                if following is not None and time - self._time(following) > SEEK_SECONDS:
                    key_frames = key_frames or held.enter_context(
                        _KeyFrames(self._source, self._max_pixels, self._allowance)
                    )
                    place = key_frames.place_between(self._time(following), time)
                    if place is not None:
                        self._container.seek(place, stream=self._stream)
                        frames = self._decoded()
                        following, shown = next(frames, None), None
                while following is not None and (shown is None or self._time(following) <= time + 1e-6):
                    shown, following = following, next(frames, None)
                if shown is not None:
                    yield shown

    def _decoded(self) -> Iterator[VideoFrame]:
        coming = 0  # packets that were counted, whose frames are still to come
        for packet in self._container.demux(self._stream):
            codec = self._stream.codec_context
            counted = codec.width * codec.height
            if packet.size:
                self._allowance.spend(counted)
                coming += 1
            for frame in self._decode(packet):
                pixels = frame.width * frame.height
                if pixels > self._max_pixels:
                    raise too_large(
                        self._name, f"a frame of {frame.width} x {frame.height} pixels is", self._max_pixels
                    )
                if pixels > counted or coming == 0:  # the size has changed, or a packet had several frames
                    self._allowance.spend(pixels)
                coming = max(coming - 1, 0)
                yield frame

    def _decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        from av.error import ArgumentError

        try:
            return packet.decode()
        except ArgumentError as error:  # what FFmpeg says of a frame over the limit that it was given
            raise too_large(self._name, "a frame is damaged or", self._max_pixels) from error

    def _time(self, frame: VideoFrame) -> float:
        return 0.0 if frame.time is None else frame.time - self._start


def too_large(name: str, what: str, most: int) -> VideoError:
    """Return the error for a frame of more than `most` pixels."""
    return VideoError(f"{name}: {what} too large, over the limit of {most} pixels; scale it down", over_limit=True)


class _KeyFrames:
    """Where the key frames of a video are: it is opened again to look, so that decoding keeps its place."""

    def __init__(self, source: str | os.PathLike[str] | bytes, max_pixels: int, allowance: Allowance) -> None:
        self._container = opened_video(source, max_pixels=max_pixels)
        self._allowance = allowance
        self._stream = self._container.streams.video[0]

    def __enter__(self) -> _KeyFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def place_between(self, after: float, time: float) -> int | None:
        """Return where to seek for a key frame that is shown after the one second, and not after the other.

        None says that there is none. Transport streams lead behind the place that is asked for.
        """
        base = self._stream.time_base
        if not base:
            return None
        start = _start(self._stream)
        for earlier in (0.0, SEEK_SECONDS, 10 * SEEK_SECONDS):
            if time - earlier <= after:
                return None
            place = int((start + time - earlier) / base)
            self._container.seek(place, stream=self._stream)
            found = self._next_key_frame()
            if found is not None and found * base - start <= time + 1e-6:
                return place if found * base - start > after else None
        return None

    def _next_key_frame(self) -> int | None:
        for packet in self._container.demux(self._stream):
            self._allowance.require_wanted()
            stamp = packet.dts if packet.pts is None else packet.pts
            if packet.is_keyframe and stamp is not None:
                return stamp
        return None


def _start(stream: VideoStream) -> float:
    return float((stream.start_time or 0) * (stream.time_base or 0))
