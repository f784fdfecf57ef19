"""Frames of cameras, streams and files: they come, and after a cut they come again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from support.images.videos import write_video
from support.places import EXAMPLES
from support.streams.mjpeg_server import MjpegServer
from support.streams.rtsp_server import RtspServer

from uhd_edge.runtime.errors import VideoError
from uhd_edge.runtime.images.camera import LONGEST_PAUSE, camera_frames, check_source

if TYPE_CHECKING:
    from pathlib import Path

BENCH = np.asarray(Image.open(EXAMPLES / "bench.png").convert("RGB"))
NEGATIVE = 255 - BENCH


def is_like(frame: np.ndarray, picture: np.ndarray) -> bool:
    """Whether it is the picture, but for the losses of a codec."""
    return frame.shape == picture.shape and bool(np.abs(frame.astype(int) - picture).mean() < 4)


@pytest.mark.parametrize("kind", [MjpegServer, RtspServer])
def test_a_stream_that_is_cut_is_opened_again_and_the_pauses_grow_until_it_is_back(kind: Any) -> None:
    server, told, pauses = kind(BENCH), [], []
    back: list[Any] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 9:
            back.append(kind(NEGATIVE, port=server.port))

    frames = camera_frames(server.url, tell=told.append, pause=pause)
    try:
        assert is_like(next(frames), BENCH)
        server.cut()
        assert any(is_like(frame, NEGATIVE) for frame in frames)
    finally:
        frames.close()
        for one in (server, *back):
            one.cut()
    assert pauses[:9] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert max(pauses) == LONGEST_PAUSE
    assert told[-1].endswith(": is back")
    assert told[1].endswith(": Connection refused; trying again in 1 s")
    assert not any("secret" in line for line in told)


def test_a_camera_that_is_not_there_is_waited_for() -> None:
    told: list[str] = []

    class EnoughError(Exception):
        pass

    def pause(_: float) -> None:
        if len(told) == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        next(camera_frames("/dev/video9876", tell=told.append, pause=pause))
    assert told[0] == "/dev/video9876: no such camera; trying again in 0.5 s"


def greys(levels: range) -> list[np.ndarray]:
    return [np.full((64, 96, 3), level, np.uint8) for level in levels]


def test_a_file_is_played_at_its_own_speed_to_its_end(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", greys(range(0, 200, 20)))
    waited: list[float] = []
    frames = list(camera_frames(tmp_path / "film.mp4", pause=waited.append))
    assert [round(float(frame.mean()) / 20) for frame in frames] == list(range(10))
    assert 0.7 < waited[-1] <= 0.9  # nobody really waited
    assert waited == sorted(waited)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("none.mp4", "no such file"),
        ("ftp://camera/film", "ftp is no kind of stream; give one of rtsp, rtsps, http, https"),
        ("file:///etc/passwd", "file is no kind of stream"),
        (str(EXAMPLES), "is a folder"),
    ],
)
def test_a_source_that_cannot_be_one_is_an_error_at_once(source: str, said: str) -> None:
    with pytest.raises(VideoError, match=said):
        check_source(source)
    with pytest.raises(VideoError, match=said):
        next(camera_frames(source))


@pytest.mark.parametrize("data", [b"no video", (EXAMPLES / "bench.png").read_bytes()[:400]])
def test_a_file_that_is_damaged_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "film.mp4").write_bytes(data)
    with pytest.raises(VideoError, match=r"film\.mp4: "):
        list(camera_frames(tmp_path / "film.mp4", pause=lambda _: None))


def test_a_playlist_of_a_server_cannot_name_a_file_of_this_machine(tmp_path: Path) -> None:
    write_video(tmp_path / "film.ts", greys(range(0, 100, 20)))
    told: list[str] = []
    server = MjpegServer(BENCH)
    server.page = (
        "application/vnd.apple.mpegurl",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{tmp_path}/film.ts\n#EXT-X-ENDLIST\n".encode(),
    )

    class EnoughError(Exception):
        pass

    def pause(_: float) -> None:
        raise EnoughError

    try:
        with pytest.raises(EnoughError):
            next(camera_frames(server.url.replace(".mjpg", ".m3u8"), tell=told.append, pause=pause))
    finally:
        server.cut()
    assert "trying again" in told[0]
