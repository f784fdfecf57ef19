"""Videos on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from PIL import Image
from support.images.videos import make_video

from uhd_edge.cli.main import Invocation, exit_code, uhd
from uhd_edge.runtime import Assistant, Video

if TYPE_CHECKING:
    from pathlib import Path


def test_the_command_takes_a_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = make_video(tmp_path / "clip.mp4", 15)
    assert exit_code(["ask", str(file), "What is labelled FEC?", "--max-tokens", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["views"]) == 2
    arguments = ["ask", str(file), "What?", "--max-tokens", "2", "--json", "--stack-frames", "2", "--max-frames", "1"]
    assert exit_code(arguments) == 0
    assert len(json.loads(capsys.readouterr().out)["views"]) == 2
    photo = tmp_path / "photo.png"
    Image.new("RGB", (900, 700)).save(photo)
    arguments = ["ask", str(file), str(photo), "What?", "--max-tokens", "2", "--json", "--max-frames", "1"]
    assert exit_code(arguments) == 0
    assert len(json.loads(capsys.readouterr().out)["views"]) == 2


def test_a_chat_takes_videos_and_goes_on_after_a_broken_one(tmp_path: Path) -> None:
    file = make_video(tmp_path / "clip.mp4", 25, size=(640, 480))
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    questions = ("What is labelled FEC?", "Which object is the leftmost?")
    with Assistant() as assistant, assistant.session(Video(file, 2)) as session:
        expected = [session.ask(questions[0]).text, session.ask(questions[1], images=Video(file, 2)).text]
    lines = f"{questions[0]}\n/image {tmp_path / 'broken.mp4'}\n/image {file}\n{questions[1]}\n"
    told = CliRunner().invoke(uhd, ["chat", str(file), "--max-frames", "2"], input=lines, obj=Invocation())
    assert told.stdout.splitlines() == expected
    assert told.stderr.startswith(f"uhd: {tmp_path / 'broken.mp4'}: not a video, or damaged")
