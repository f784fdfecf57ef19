"""`uhd watch` prints a line for each answer about the newest frame."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from support.images.videos import write_video
from support.places import EXAMPLES
from support.streams.mjpeg_server import MjpegServer

if TYPE_CHECKING:
    from pathlib import Path

STAR = "What is the code on the white star?"
BENCH = np.asarray(Image.open(EXAMPLES / "bench.png").convert("RGB"))


def watch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "uhd_edge.cli", "watch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_stream_is_asked_about_until_there_are_enough_answers() -> None:
    server = MjpegServer(BENCH)
    try:
        done = watch(server.url, STAR, "--count", "3", "--every", "0.1", "--json", "--max-tokens", "16")
    finally:
        server.cut()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["answer"] for line in lines] == ["JX7"] * 3, done.stderr
    numbers = [line["frame"] for line in lines]
    assert numbers == sorted(set(numbers))
    assert [line["frame"] - line["dropped"] for line in lines] == [0, 1, 2]
    assert done.returncode == 0


def test_a_film_ends_with_its_last_frame_and_a_still_one_is_asked_about_once(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", [BENCH] * 4)
    done = watch(str(tmp_path / "film.mp4"), STAR, "--on-change", "10", "--max-tokens", "16")
    assert (done.stdout, done.returncode) == ("JX7\n", 0), done.stderr


def test_a_source_that_is_none_is_told_in_one_line_before_a_model_is_opened() -> None:
    done = watch("none.mp4", STAR, "--bundle", "none")
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == "uhd: none.mp4: no such file; check the path\n"
