"""A camera or a stream becomes frames, for as long as the program runs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from uhd_edge.engines.extras import extra_needed
from uhd_edge.runtime.errors import VideoError
from uhd_edge.runtime.images.input_file import check_file, printable, reason
from uhd_edge.runtime.images.loading import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

CameraSource: TypeAlias = "str | os.PathLike[str]"

# For each kind of address, what FFmpeg may open for it: a server's playlist must not name a file of this machine.
PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,udp,tcp,tls",
    "http": "http,tcp",
    "https": "https,http,tls,tcp",
}
SECONDS = 10.0  # in which a stream must answer, and send its next frame
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds from a lost connection to the next try; each is twice the one before


def camera_frames(
    source: CameraSource,
    *,
    tell: Callable[[str], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a camera, a stream or a file as they come: uint8 [H, W, 3] in RGB, upright.

    Args:
        source: A camera such as "/dev/video0" or its number, an address that begins with rtsp://,
            rtsps://, http:// or https:// (MJPEG, MPEG-TS, HLS and what else FFmpeg reads), or the
            path of a video, which is played at its own speed.
        tell: Called with one line when a stream is lost, and when it is back.
        pause: Waits for some seconds, before a stream is opened again and between a file's frames.

    A camera or stream that cannot be opened or is lost is opened again, after half a second and
    then after longer and longer pauses up to half a minute, for ever. A file ends with its last
    frame. Needs the extra `video`.

    Raises `VideoError` for a file that is missing, damaged or without pictures, and for another
    kind of address; `MissingExtraError` where PyAV is not installed.
    """
    source = os.fsdecode(source)
    check_source(source)
    if _is_live(source):
        yield from _live_frames(source, tell, pause)
    else:
        yield from _file_frames(source, pause)


def check_source(source: CameraSource) -> None:
    """Raise what `camera_frames` raises for a source, before a model is opened for it."""
    source = os.fsdecode(source)
    with extra_needed("video", "reading a camera or a stream"):
        import av  # noqa: F401  # told before anything else is wrong
    if not _is_live(source):
        check_file(source, kind="video", error_class=VideoError)


def _is_live(source: str) -> bool:
    """Whether this is a camera or a stream, which may come back; raises `VideoError` for another kind of address."""
    scheme = source.partition("://")[0].lower() if "://" in source else ""
    if scheme and scheme not in PROTOCOLS:
        raise VideoError(f"{printable(source)}: {scheme} is no kind of stream; give one of {', '.join(PROTOCOLS)}")
    return bool(scheme) or _is_camera(source)


def _is_camera(source: str) -> bool:
    return source.isdecimal() or source.startswith("/dev/")


def _live_frames(
    source: str, tell: Callable[[str], None], pause: Callable[[float], None]
) -> Iterator[NDArray[np.uint8]]:
    name = without_password(source)
    seconds, is_lost = FIRST_PAUSE, False
    while True:
        why = "it ended"
        try:
            with _open_live(source) as container:
                for frame in container.decode(video=0):
                    if is_lost:
                        tell(f"{name}: is back")
                    seconds, is_lost = FIRST_PAUSE, False
                    yield _picture(frame, name)
        except VideoError:
            raise
        except Exception as error:  # FFmpeg's many demuxers and decoders raise whatever they trip over
            why = reason(error)
        tell(f"{name}: {why}; trying again in {seconds:g} s")
        is_lost = True
        pause(seconds)
        seconds = min(2 * seconds, LONGEST_PAUSE)


def _file_frames(source: str, pause: Callable[[float], None]) -> Iterator[NDArray[np.uint8]]:
    import av

    name = check_file(source, kind="video", error_class=VideoError)
    began: float | None = None
    count = 0
    try:
        with av.open(source, options={"protocol_whitelist": "file"}) as container:
            for frame in container.decode(video=0):
                shown = frame.time or 0.0
                began = time.monotonic() - shown if began is None else began
                pause(max(0.0, began + shown - time.monotonic()))
                count += 1
                yield _picture(frame, name)
    except VideoError:
        raise
    except Exception as error:  # see above
        raise VideoError(f"{name}: not a video, or damaged ({reason(error)})") from error
    if count == 0:
        raise VideoError(f"{name}: no frame could be decoded; the video is empty or damaged")


def _open_live(source: str) -> InputContainer:
    import av

    if _is_camera(source):
        device = f"/dev/video{source}" if source.isdecimal() else source
        if not Path(device).exists():  # FFmpeg's own words name no camera
            raise OSError("no such camera")
        return av.open(device, format="v4l2", timeout=SECONDS)
    scheme = source.partition("://")[0].lower()
    options = {"protocol_whitelist": PROTOCOLS[scheme], "fflags": "nobuffer"}
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # without the holes that UDP leaves in a picture
    return av.open(source, options=options, timeout=SECONDS)


def _picture(frame: VideoFrame, name: str) -> NDArray[np.uint8]:
    if frame.width * frame.height > DEFAULT_MAX_PIXELS:
        raise VideoError(f"{name}: frames of {frame.width} x {frame.height} pixels are too large")
    pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    turns = round(frame.rotation / 90) % 4  # counterclockwise, as of a phone held upright
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def without_password(source: str) -> str:
    """The address as it may be printed: user and password are left out."""
    scheme, separator, rest = source.partition("://")
    place, slash, path = rest.partition("/")
    return printable(f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}")
