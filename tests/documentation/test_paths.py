"""What the documentation says of the repository: the paths it names exist, and the floors are those of the house."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documentation.pages import PAGES
from house.floors import FLOORS
from support.places import ROOT

FOLDERS = [path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
CONTRIBUTING = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
# Of a bundle or of a build, and not of the repository.
ELSEWHERE = ("engines/", "site/", "site/index.html")


def paths_in(page: Path) -> list[str]:
    """Words in code that begin with one of our folders, such as `runtime/vision/`."""
    words = re.findall(r"`([\w./-]+)`", page.read_text(encoding="utf-8"))
    return [word for word in words if "/" in word and Path(word).parts[0] in FOLDERS and word not in ELSEWHERE]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    assert [path for path in paths_in(page) if not (ROOT / path).exists()] == []


def test_pages_name_paths() -> None:
    assert sum(len(paths_in(page)) for page in PAGES) > 40


def test_the_floors_that_contributors_read_are_those_of_the_house() -> None:
    table = CONTRIBUTING.partition("| floor | rooms |")[2].partition("\n\n")[0]
    rooms = [f"runtime.{Path(room).stem}" for room in re.findall(r"`([\w/]+(?:\.py)?)`", table)]
    heights = {room: height for height, floor in enumerate(FLOORS) for room in floor}
    assert set(rooms) == {room for room in heights if room.startswith("runtime.")}
    assert [heights[room] for room in rooms] == sorted(heights[room] for room in rooms)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "robot" / "README.md"], ids=str)
def test_links_of_a_readme_lead_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")) if "://" not in link]
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []
