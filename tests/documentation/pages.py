"""The pages of the documentation and their code blocks, with the marks in front of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING

from support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
LANGUAGES = ("console", "python", "text", "json", "yaml")

# A mark is an HTML comment in front of a block. Each needs one of these words in the block, so that
# it does not outlive what it is there for.
MARKS = {
    "output": ("",),
    "numbers vary": tuple("0123456789"),
    "keeps running": ("uhd serve",),
    "run by CI": ("make ", "pytest"),
    "needs: network": ("pip install", "hf download", "uhd export"),
    "needs: gpu": ("--target here", "test-gpu"),
    "needs: jetson": ("build.sh", "VENV_OPTIONS", "--runtime nvidia"),
    "needs: ros": ("rclpy", "colcon", "ros2 run"),
    "needs: minutes": ("--synthetic", "uhd calibrate", "tiny.experiments.run", "tiny.training.train", "stand_in.py"),
    "needs: curl": ("curl",),
    "needs: tensorrt-rtx": ("--target rtx",),
    "needs: dora": ("dora run",),
    "needs: harness": ("lmms_eval", "vlmevalkit_run", "run.py"),
    "needs: model": ("think=", "tools=", "test-real"),
}

# What a machine may have: these blocks are run where it does.
OPTIONAL = {
    "needs: curl": lambda: which("curl") is not None,
    "needs: tensorrt-rtx": lambda: find_spec("tensorrt_rtx") is not None,
}

_FENCE = re.compile(
    r"^(?P<marks>(?:<!--[^\n]*-->\n)*)```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_MARK = re.compile(r"<!--\s*(.*?)\s*-->")
_HEREDOC = re.compile(r"<<-?'?(\w+)'?$")


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is the line of its first line, counted from 1."""

    page: Path
    line: int
    language: str
    text: str
    marks: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def unmet_need(self) -> str | None:
        """What a test cannot have, as its mark names it."""
        needs = (mark for mark in self.marks if mark.startswith("needs: "))
        return next((mark for mark in needs if mark not in OPTIONAL or not OPTIONAL[mark]()), None)


@dataclass(frozen=True)
class Command:
    """A line of a `console` block, and the lines of output under it."""

    line: str
    output: tuple[str, ...]


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in their order."""
    content = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            content.count("\n", 0, found.start("text")) + 1,
            found["language"],
            found["text"],
            tuple(_MARK.findall(found["marks"])),
        )
        for found in _FENCE.finditer(content)
    ]


def all_blocks() -> Iterator[Block]:
    """Every block of every page."""
    for page in PAGES:
        yield from blocks_of(page)


def marks_of(page: Path) -> list[str]:
    """Every HTML comment of a page, in front of a block or not."""
    return _MARK.findall(page.read_text(encoding="utf-8"))


def commands_of(text: str) -> list[Command]:
    """Take a `console` block apart: lines after `$ `, with what continues them, and the output under each."""
    commands: list[tuple[list[str], list[str]]] = []
    rest = iter(text.splitlines())
    for line in rest:
        if line.startswith("$ "):
            commands.append(([line[2:], *_continuation(line, rest)], []))
        elif commands:
            commands[-1][1].append(line)
        else:
            raise AssertionError(f"a console block begins with output: {line!r}")
    return [Command("\n".join(lines), tuple(output)) for lines, output in commands]


def _continuation(line: str, rest: Iterable[str]) -> Iterator[str]:
    """Lines that belong to a command: after a backslash, and up to the end of a here-document."""
    end = _HEREDOC.search(line)
    for following in rest if end or line.endswith("\\") else ():
        yield following
        if (following == end[1]) if end else (not following.endswith("\\")):
            return


def differs(shown: Iterable[str], printed: str, *, numbers_vary: bool) -> bool:
    """Whether a page shows other lines than were printed; a line `..` stands for any number of lines.

    With `numbers_vary`, numbers and the spaces in front of them are alike.
    """
    if printed and not printed.endswith("\n"):
        printed += "\n"
    pattern = "".join(
        r"(?:.*\n)*?" if line == ".." else re.escape(_normalised(line, numbers_vary)) + "\n" for line in shown
    )
    return re.fullmatch(pattern, _normalised(printed, numbers_vary)) is None


def _normalised(text: str, numbers_vary: bool) -> str:
    return re.sub(r" *\d+(\.\d+)?", "#", text) if numbers_vary else text
