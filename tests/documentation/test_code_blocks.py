"""Every command and every code block of the documentation does what the page says."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from documentation.pages import PAGES, blocks_of, commands_of, differs
from documentation.running import environment, make_stand_ins, run_page
from support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

WITH_CODE = [page for page in PAGES if blocks_of(page)]


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stand-ins")
    make_stand_ins(folder)
    return folder


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_the_code_blocks_of_a_page_run_and_print_what_it_shows(
    page: Path, stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(stand_ins, tmp_path / "page")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # where the measured machine is remembered
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    run_page(page, folder)


def test_a_command_keeps_its_continuation_and_its_output_apart() -> None:
    block = "$ one \\\n    two\nprinted\n\nmore\n$ cat <<END\nprinted later\nEND\n$ three\n"
    assert [(command.line, command.output) for command in commands_of(block)] == [
        ("one \\\n    two", ("printed", "", "more")),
        ("cat <<END\nprinted later\nEND", ()),
        ("three", ()),
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "numbers_vary", "expected"),
    [
        (["JX7"], "JX7\n", False, False),
        (["JX7"], "JX8\n", False, True),
        (["JX7"], "JX7\nmore\n", False, True),
        (["first", "..", "last"], "first\nsecond\nthird\nlast\n", False, False),
        (["first", "..", "last"], "first\nlast\nafter\n", False, True),
        (["took  12 ms"], "took 3.5 ms\n", True, False),
        (["took  12 ms"], "took 3.5 s\n", True, True),
        (["took 12 ms"], "took 13 ms\n", False, True),
    ],
)
def test_output_is_compared_line_by_line(shown: list[str], printed: str, numbers_vary: bool, expected: bool) -> None:
    assert differs(shown, printed, numbers_vary=numbers_vary) is expected


def test_the_readme_can_be_read_in_a_few_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
