"""A wheel installs every file of our folders once, whether it is built from the repository or from an sdist."""

from __future__ import annotations

import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest
from house.imports import PACKAGE, our_folders
from support.places import EXAMPLES, ROOT
from support.wheels import build_wheel, copy_source, environment_without_ours, install_wheel, unpack_sdist

# Only for people who work on the repository: pages to read, and what trainings began with, saw and left.
NOT_INSTALLED = (
    "robot/README.md",
    "tiny/RESULTS.md",
    "tiny/training.jsonl",
    "tiny/training-large-0.jsonl",
    "tiny/training-large-1.jsonl",
    "tiny/training-small-0.jsonl",
    "tiny/training-small-1.jsonl",
    "tiny/checkpoint",
    "tiny/experiments/runs",
    "tiny/experiments/start.jsonl",
    "tiny/experiments/start.safetensors",
    "tiny/experiments/times.json",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    return build_wheel(source, source / "wheel")


def files_to_install() -> dict[str, bytes]:
    """The contents of every file that must be installed, by its path in the package."""
    files = [path for path in (ROOT / PACKAGE).iterdir() if path.is_file()]
    contents = {f"{PACKAGE}/{path.name}": path.read_bytes() for path in files}
    for path in (path for folder in our_folders() for path in folder.rglob("*") if path.is_file()):
        inside = path.relative_to(ROOT)
        if "__pycache__" not in path.parts and not any(inside.is_relative_to(name) for name in NOT_INSTALLED):
            contents[f"{PACKAGE}/{inside.as_posix()}"] = path.read_bytes()
    return contents


def check_contents(wheel: Path) -> None:
    expected = files_to_install()
    with ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        assert sorted(names) == sorted(expected)
        assert [name for name in names if archive.read(name) != expected[name]] == []


def test_the_built_in_model_a_kits_script_and_py_typed_are_installed() -> None:
    needed = {"py.typed", "engines/building/kit.sh", "runtime/uhd-tiny/bundle.json", "runtime/uhd-tiny/llm.gguf"}
    assert {f"{PACKAGE}/{name}" for name in needed} <= set(files_to_install())


def test_the_wheel_holds_each_file_of_our_folders_once_and_nothing_else(wheel: Path) -> None:
    check_contents(wheel)


def test_a_wheel_from_an_unpacked_sdist_holds_the_same(source: Path, tmp_path: Path) -> None:
    unpacked = unpack_sdist(source, tmp_path / "sdist")
    assert not (unpacked / "tests").exists()
    check_contents(build_wheel(unpacked, tmp_path / "wheel"))


def test_an_installed_wheel_answers_by_its_own_command(wheel: Path, tmp_path: Path) -> None:
    programs = install_wheel(wheel, tmp_path / "environment")

    def printed_by(program: str, *arguments: str) -> str:
        command = [str(programs / program), *arguments]
        environment = environment_without_ours(tmp_path)
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    place = printed_by("python", "-c", f"import {PACKAGE}.runtime; print({PACKAGE}.runtime.__file__)")
    assert Path(place).is_relative_to(programs.parent)
    assert printed_by("uhd", "ask", str(EXAMPLES / "bench.png"), "What is the code on the white star?") == "JX7"
