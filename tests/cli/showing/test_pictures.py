"""`uhd plan --picture` and `uhd ask --show`: the picture with its views, in a file or in a terminal."""

from __future__ import annotations

import os
import pty
import re
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.places import ROOT

from uhd_edge.cli.commands.plan import plan
from uhd_edge.cli.main import exit_code
from uhd_edge.cli.showing.pictures import draw_answer, draw_plan, show_answer, write_beside
from uhd_edge.runtime import Assistant, Video
from uhd_edge.runtime.errors import UhdError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDE = str(ROOT / "examples" / "wide.png")


@pytest.fixture(scope="module")
def assistant() -> Iterator[Assistant]:
    with Assistant() as assistant:
        yield assistant


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One for all: the machine is measured by whoever comes first."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    monkeypatch.chdir(tmp_path)


def pixels(file: str | Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def test_plan_draws_what_ask_would_look_at_or_what_keeps_the_budget(assistant: Assistant, tmp_path: Path) -> None:
    manifest = assistant.bundle.manifest
    for options, mode, slices in (
        (["--mode", "4x"], "4x", None),
        (["--budget-ms", "60000", "--mode", "16x", "--max-slices", "2"], "16x", 2),
    ):
        assert CliRunner().invoke(plan, [WIDE, "--picture", "out.png", *options]).exit_code == 0
        assert np.array_equal(pixels("out.png"), np.asarray(draw_plan(WIDE, manifest, mode=mode, max_slices=slices)))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.png"]


def test_several_images_are_numbered(tmp_path: Path) -> None:
    assert CliRunner().invoke(plan, [WIDE, WIDE, "--picture", "out.webp"]).exit_code == 0
    assert sorted(file.name for file in tmp_path.glob("out*")) == ["out-1.webp", "out-2.webp"]


@pytest.mark.parametrize(
    ("file", "said"),
    [("out.gif", r"written as .png, .jpg or .webp"), ("out", "written as"), ("no/out.png", "choose another name")],
)
def test_a_picture_that_cannot_be_written_is_refused_at_once(file: str, said: str) -> None:
    with pytest.raises(UhdError, match=said) as caught:
        CliRunner().invoke(plan, [WIDE, "--picture", file], catch_exceptions=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [["in.png"], ["other.png", "in-2.png"]])
def test_an_image_is_not_overwritten_by_its_own_picture(names: list[str], tmp_path: Path) -> None:
    for name in names:
        Image.new("RGB", (60, 40), "red").save(name)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(UhdError, match=r"one of the images"):
        CliRunner().invoke(plan, [*names, "--picture", "in.png"], catch_exceptions=False)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_answer_s_pictures_have_the_tokens_of_its_views_and_mark_reused_ones(assistant: Assistant) -> None:
    manifest = assistant.bundle.manifest
    images = [(WIDE, "4x"), WIDE, (WIDE, "4x")]
    answer = assistant.ask(images, "How many triangles are there?", max_tokens=1)
    assert [view.reused for view in answer.views] == [False] * 10 + [True] * 5
    drawn = [np.asarray(picture) for picture in draw_answer(images, answer, manifest, max_slices=None)]
    for picture, mode in zip(drawn[:2], ("4x", "16x"), strict=True):
        assert np.array_equal(picture, np.asarray(draw_plan(WIDE, manifest, mode=mode, max_slices=None)))
    assert not np.array_equal(drawn[2], drawn[0])


def test_ask_writes_a_file_beside_and_names_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--show", "--max-slices", "2", "--max-tokens", "3"]
    assert exit_code(["ask", WIDE, "How many triangles are there?", *options]) == 0
    assert capfd.readouterr().err == f"uhd: {WIDE} as the model saw it: wide-views.png\n"
    assert pixels(tmp_path / "wide-views.png").shape[1] == 800


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    picture = Image.new("RGB", (2, 2))
    (tmp_path / "a-views.png").write_bytes(b"mine")
    assert [str(write_beside("x/a.jpg", picture)) for _ in range(2)] == ["a-views-2.png", "a-views-3.png"]
    assert (tmp_path / "a-views.png").read_bytes() == b"mine"
    assert str(write_beside("-", picture)) == "picture-views.png"


def test_a_terminal_that_can_shows_the_picture_itself(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = assistant.ask(WIDE, "How many triangles are there?", max_tokens=1)
    person, program = pty.openpty()
    monkeypatch.setenv("TERM", "xterm-kitty")
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.delenv("STY", raising=False)
    reader, written = _collected(person)
    with os.fdopen(program, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        show_answer([WIDE], [WIDE], answer, assistant.bundle.manifest, max_slices=None)
        monkeypatch.undo()
    reader.join()
    os.close(person)
    assert re.match(rb"\x1b_Ga=T,f=100,", b"".join(written))
    assert list(tmp_path.glob("*.png")) == []


def _collected(descriptor: int) -> tuple[object, list[bytes]]:
    import threading

    written: list[bytes] = []

    def collect() -> None:
        while True:
            try:
                part = os.read(descriptor, 65536)
            except OSError:  # the other side is closed
                return
            if not part:
                return
            written.append(part)

    reader = threading.Thread(target=collect)
    reader.start()
    return reader, written


def test_videos_are_not_drawn(assistant: Assistant, capsys: pytest.CaptureFixture[str]) -> None:
    answer = assistant.ask(WIDE, "How many triangles are there?", max_tokens=1)
    for video in (Video("a.mp4"), (Video("a.mp4"), "4x")):
        show_answer(["a.mp4"], [video], answer, assistant.bundle.manifest, max_slices=None)
        assert capsys.readouterr().err == "uhd: --show draws images; of a video every frame is one view\n"
