"""Imports go one way: never up, and never in a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from house.floors import FLOORS
from house.imports import imports_between, missing_names, our_folders, our_modules
from support.places import ROOT

MOST_FILES = 16
MOST_LINES = 250


def room_of(module: str) -> str:
    rooms = [room for floor in FLOORS for room in floor if module == room or module.startswith(f"{room}.") or not room]
    return max(rooms, key=len)


def floor_of(module: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if room_of(module) in floor)


def upward(imports: dict[str, set[str]]) -> list[str]:
    """Imports of a room above, or of another room on the same floor."""
    return sorted(
        f"{module} imports {imported}"
        for module, names in imports.items()
        for imported in names
        if room_of(module) != room_of(imported) and floor_of(module) <= floor_of(imported)
    )


def test_no_module_imports_one_that_stands_above_it() -> None:
    assert upward(imports_between(our_modules())) == []


def test_an_import_of_a_higher_floor_is_found() -> None:
    assert upward({"runtime.images.loading": {"runtime.vision.encoder"}, "runtime.vision.encoder": set()}) == [
        "runtime.images.loading imports runtime.vision.encoder"
    ]


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(imports_between(our_modules())).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("folder", [*our_folders(), ROOT / "tests", ROOT / "benchmarks", ROOT / "examples"], ids=str)
def test_every_name_imported_from_the_package_exists(folder: Path) -> None:
    modules = our_modules()
    assert [missing for file in folder.rglob("*.py") for missing in missing_names(file, modules)] == []


def test_an_import_of_a_name_that_does_not_exist_is_found(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        "from uhd_edge.runtime.vision import slicer\nfrom uhd_edge.runtime.modes import Mood\n"
    )
    missing = missing_names(tmp_path / "wrong.py", our_modules())
    assert missing == ["wrong.py: runtime.vision.slicer", "wrong.py: runtime.modes.Mood"]


@pytest.mark.parametrize("folder", our_folders(), ids=str)
def test_a_folder_says_what_comes_in_what_goes_out_and_what_to_read_first(folder: Path) -> None:
    for face in folder.rglob("__init__.py"):
        said = ast.get_docstring(ast.parse(face.read_text(encoding="utf-8"))) or ""
        assert all(word in said for word in ("In: ", "Out: ", "Read `")), face


def test_every_room_in_the_list_exists() -> None:
    modules = our_modules()
    assert [room for floor in FLOORS for room in floor if room not in modules] == []


@pytest.mark.parametrize("folder", [*our_folders(), ROOT / "tests", ROOT / "benchmarks", ROOT / "examples"], ids=str)
def test_no_folder_and_no_file_is_too_large(folder: Path) -> None:
    files = list(folder.rglob("*.py"))
    crowded = {file.parent for file in files if len(list(file.parent.glob("*.py"))) > MOST_FILES}
    long = {file for file in files if len(file.read_text(encoding="utf-8").splitlines()) > MOST_LINES}
    assert (sorted(map(str, crowded)), sorted(map(str, long))) == ([], [])
