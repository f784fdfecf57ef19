"""The file of a video is opened, and nothing that it names; its length is read or measured."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime.images.loading import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_STREAMS = 64  # the most in a file
_BESIDE = 64 * 2**14  # pixels; FFmpeg counts a frame with what it lays beside each of its rows

# FFmpeg's names of the formats that hold their pictures themselves.
SAFE_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,ogg,flv,asf"


def opened_video(source: str | os.PathLike[str] | bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> InputContainer:
    """Open a video, and nothing that it names; FFmpeg refuses a frame of over about `max_pixels` pixels undecoded.

    Bytes may come from a stranger, so there are no play lists among their formats, and no protocols:
    both could name files of this machine.
    """
    import av

    # Opening decodes frames too, so the limit is given before, for every stream that there may be.
    limit = {"max_pixels": str(max_pixels + _BESIDE)}
    options = {"protocol_whitelist": "file", "max_streams": str(_STREAMS)}
    opened: str | io.BytesIO = io.BytesIO(source) if isinstance(source, bytes) else os.fsdecode(source)
    if isinstance(source, bytes):
        options |= {"protocol_whitelist": "none", "format_whitelist": SAFE_FORMATS}
    limits: Any = [limit] * _STREAMS  # PyAV's stub has another type
    container = av.open(opened, mode="r", options=options, stream_options=limits)
    for stream in container.streams.video:
        stream.codec_context.options = limit
    return container


def told_seconds(container: InputContainer, stream: VideoStream) -> float:
    """Length of the video by its number of frames, as the reference has it, or by what the file says; 0 if unknown."""
    if stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return container.duration / 1e6
    return 0.0


def measured_seconds(source: str | os.PathLike[str] | bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> float:
    """Length by the last frame, for files whose header has none, such as live recordings."""
    last = 0.0
    with opened_video(source, max_pixels=max_pixels) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if packet.pts is not None and packet.time_base:
                end = packet.pts + (packet.duration or 0) - (stream.start_time or 0)
                last = max(last, float(end * packet.time_base))
    return last
