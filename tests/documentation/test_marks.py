"""The marks in front of code blocks: known, explained, and true."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

import click
import pytest
from documentation.pages import LANGUAGES, MARKS, PAGES, all_blocks, commands_of, marks_of
from support.places import ROOT

from uhd_edge.cli.main import uhd
from uhd_edge.engines.building.kit_readme import describe_kit
from uhd_edge.engines.building.targets import find_jetpack, find_target
from uhd_edge.robot.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from documentation.pages import Block

BLOCKS = list(all_blocks())
CONTRIBUTING = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
DOCUMENTATION = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def commands() -> Iterator[tuple[Block, list[str]]]:
    """Every command line of every page, in words."""
    for block in BLOCKS:
        if block.language == "console":
            for command in commands_of(block.text):
                if "<<" not in command.line:
                    yield block, shlex.split(command.line, comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_mark_is_known(page) -> None:
    # The page for contributors explains the marks in code, where they are no comments.
    assert {mark for mark in marks_of(page) if f"`<!-- {mark} -->`" not in page.read_text()} <= set(MARKS)


def test_every_comment_stands_in_front_of_a_block() -> None:
    in_front = sum(len(block.marks) for block in BLOCKS)
    explained = len(re.findall(r"`<!-- .* -->`", CONTRIBUTING))
    assert in_front == sum(len(marks_of(page)) for page in PAGES) - explained


@pytest.mark.parametrize("mark", MARKS)
def test_contributors_are_told_what_a_mark_means(mark: str) -> None:
    assert f"| `<!-- {mark} -->` |" in CONTRIBUTING


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.marks], ids=lambda block: block.place)
def test_a_block_has_what_its_mark_speaks_of(block: Block) -> None:
    for mark in block.marks:
        assert any(word in block.text for word in MARKS[mark]), f"{block.place}: {mark}"


@pytest.mark.parametrize("mark", MARKS)
def test_every_mark_is_used(mark: str) -> None:
    assert any(mark in block.marks for block in BLOCKS)


def test_an_output_follows_the_code_that_prints_it() -> None:
    for before, block in pairwise(BLOCKS):
        if "output" in block.marks:
            assert (before.page, before.language, block.language) == (block.page, "python", "text"), block.place


def test_every_block_names_its_language() -> None:
    assert [block.place for block in BLOCKS if block.language not in LANGUAGES] == []


def test_commands_that_are_not_run_are_right_all_the_same() -> None:
    unrun = [(block, words) for block, words in commands() if block.unmet_need and words[0] == "uhd"]
    assert unrun
    for block, (_, name, *arguments) in unrun:
        command = uhd.get_command(click.Context(uhd), name)
        assert command is not None, block.place
        command.make_context(name, arguments)  # raises a UsageError for what it does not know


def test_what_make_is_told_to_make_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[1] for _, words in commands() if words[0] == "make"} <= targets


def test_what_a_jetson_installs_is_what_a_kit_s_readme_says() -> None:
    orin = find_target("orin")
    kit = describe_kit([], orin, find_jetpack(orin, None), "uhd.whl").splitlines()
    wanted = ("sudo apt", "export PATH", "CMAKE_ARGS", "pip install ./")
    packages, path, architecture, pycuda = (next(line for line in kit if word in line) for word in wanted)
    assert f"$ {packages.strip()}\n" in DOCUMENTATION
    assert f"$ {path.partition('#')[0].strip()}" in DOCUMENTATION
    assert f"export {architecture.split(' CMAKE_BUILD')[0].strip()}" in DOCUMENTATION
    assert f'pip install -e ".[pull]" "{shlex.split(pycuda)[-1]}"' in DOCUMENTATION


def test_extras_that_are_installed_exist() -> None:
    extras = set(re.findall(r"^([a-z]+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    lists = re.findall(r'"(?:\.|uhd-edge)\[([\w,]+)\]"', DOCUMENTATION)
    named = {extra for extras_of_one in lists for extra in extras_of_one.split(",")}
    assert named
    assert named <= extras


@pytest.mark.parametrize("name", uhd.list_commands(click.Context(uhd)))
def test_every_option_of_a_command_is_named(name: str) -> None:
    command = uhd.get_command(click.Context(uhd), name)
    assert command is not None
    assert f"uhd {name}" in DOCUMENTATION
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.opts[-1] in DOCUMENTATION, f"uhd {name} {option.opts[-1]}"


def test_the_page_on_robots_names_every_setting_of_the_node_and_no_other() -> None:
    page = (ROOT / "docs" / "robots.md").read_text(encoding="utf-8")
    variables = {option.envvar for option in main.params if isinstance(option, click.Option) and option.envvar}
    assert set(re.findall(r"UHD_[A-Z_]+", page)) == variables
