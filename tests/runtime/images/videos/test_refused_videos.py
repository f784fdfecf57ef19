"""What is no video, or a damaged one, is told in one line; so is what is missing to read one."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from support.images.videos import make_sound, make_video

from uhd_edge.runtime import Video, video_frames
from uhd_edge.runtime.errors import ImageError, MissingExtraError, OptionError, VideoError

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_no_video_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = make_video(tmp_path / "whole.mp4", 30).read_bytes()
    files = {"cut.mp4": whole[: len(whole) // 2], "text.mp4": b"not a video" * 50, "empty.mp4": b""}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.mp4").mkdir()
    make_sound(tmp_path / "sound.mp4")
    told = {
        "missing.mp4": "no such file",
        "empty.mp4": "empty",
        "folder.mp4": "is a folder",
        "sound.mp4": "no pictures",
    }
    for name in (*files, "missing.mp4", "folder.mp4", "sound.mp4"):
        with pytest.raises(VideoError, match=told.get(name, "not a video, or damaged")) as caught:
            video_frames(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert str(caught.value).isprintable()
    assert capfd.readouterr() == ("", "")


def test_a_damaged_video_gives_frames_or_an_error_of_ours(tmp_path: Path) -> None:
    whole = bytearray(make_video(tmp_path / "whole.mp4", 40).read_bytes())
    dice = np.random.default_rng(0)
    for _ in range(60):
        damaged = whole.copy()
        for place in dice.integers(0, len(damaged), dice.choice([1, 20])):
            damaged[place] = dice.integers(256)
        (tmp_path / "damaged.mp4").write_bytes(damaged[: dice.integers(len(damaged) // 2, len(damaged) + 1)])
        try:
            assert len(video_frames(tmp_path / "damaged.mp4")) >= 1
        except VideoError as error:
            assert str(error).isprintable()  # noqa: PT017


def test_a_playlist_does_not_open_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "list.mp4"
    file.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/clip.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(VideoError):
        video_frames(file)


def test_bytes_are_a_video_as_a_file_is(tmp_path: Path) -> None:
    for kind in ("mp4", "mkv", "avi"):
        file = make_video(tmp_path / f"clip.{kind}", 35)
        frames, expected = video_frames(file.read_bytes()), video_frames(file)
        assert [np.asarray(frame).tolist() for frame in frames] == [np.asarray(frame).tolist() for frame in expected]
    with pytest.raises(VideoError, match="too large"):
        video_frames(file.read_bytes(), max_pixels=100)


def test_bytes_do_not_open_a_file_of_this_machine(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", 30)
    for text in (
        f"#EXTM3U\n#EXTINF:1,\nfile://{clip}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{clip}'\n",
        f"<smil><body><video src='{clip}'/></body></smil>",
        "",
    ):
        with pytest.raises(VideoError, match="the video in bytes"):
            video_frames(text.encode())


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "3", None])
def test_a_senseless_number_of_frames_is_refused(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(OptionError, match="max_frames"):
        video_frames(tmp_path / "any.mp4", max_frames=wrong)


def test_without_pyav_the_line_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_video(tmp_path / "clip.mp4", 5)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'uhd-edge\[video\]'"):
        video_frames(file)


def test_importing_the_runtime_does_not_import_pyav() -> None:
    program = "import sys, uhd_edge.runtime.assistant; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("wrong", [[], None, 3, iter([])])
def test_what_is_no_list_of_frames_is_refused(wrong: Any) -> None:
    with pytest.raises(VideoError, match="a list of at least one frame"):
        Video(wrong).frames()
    with pytest.raises(ImageError, match="an image is a path"):
        Video([3]).frames()  # type: ignore[list-item]
    with pytest.raises(OptionError, match="max_frames"):
        Video([Image.new("L", (2, 2))], 0).frames()
