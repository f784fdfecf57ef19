"""A change of a bundle that is killed between its steps leaves nothing that the next run does not find."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.handmade_bundle import FILES, write_bundle

from uhd_edge.engines.unfinished import locked
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.update import abandoned_in, staging_folder

# Adds a report, or replaces the one that is there, and is killed when the call of `sys.argv[2]` begins.
CHANGED_AND_KILLED = """
import os, signal, sys
from uhd_edge.runtime.bundles import update
from uhd_edge.runtime.bundles.bundle import Bundle

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] != "none":
    setattr(update, sys.argv[2], kill)
bundle = Bundle.open(sys.argv[1])
name = "second.json" if (bundle.path / "first.json").exists() else "first.json"

def change(old):
    files = {file: record for file, record in old.files.items() if file != "first.json"}
    return old.model_copy(update={"calibration": name, "files": files})

with update.staging_folder(bundle) as folder:
    (folder / "new").write_bytes(b"a report")
    update.add_files(bundle, {name: folder / "new"}, change)
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(write_bundle(tmp_path / "bundle"))


def change_until(call: str, bundle: Bundle) -> int:
    return subprocess.run([sys.executable, "-c", CHANGED_AND_KILLED, str(bundle.path), call], check=False).returncode


def everything_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("call", "left", "kept"),
    [("_replace_manifest", "second.json", "first.json"), ("_remove", "first.json", "second.json")],
)
def test_a_file_that_no_manifest_records_is_named_and_removed(bundle: Bundle, call: str, left: str, kept: str) -> None:
    assert change_until("none", bundle) == 0
    assert change_until(call, bundle) == -signal.SIGKILL
    Bundle.open(bundle.path).check_files()
    named = [path for path, _ in abandoned_in(bundle.path)]
    assert bundle.path / left in named
    assert bundle.path / kept not in named
    said: list[str] = []
    with staging_folder(bundle, said.append):
        assert everything_in(bundle.path) == {*FILES, kept, "bundle.json"}
    assert [line.split(" (")[0] for line in said if left in line] == [f"removed {bundle.path / left}"]
    assert len(said) == len(named)


def test_what_a_list_does_not_name_and_what_is_being_changed_is_left_alone(bundle: Bundle) -> None:
    (bundle.path / "mine.json").write_text("mine")
    (bundle.path / ".changing-1").write_text('["graphs/connector-fp32.onnx", "other.json"]')
    (bundle.path / "other.json").write_text("left")
    with locked(bundle.path):
        assert abandoned_in(bundle.path) == []
    assert [path.name for path, _ in abandoned_in(bundle.path)] == ["other.json", ".changing-1"]
    with staging_folder(bundle):
        assert everything_in(bundle.path) == {*FILES, "mine.json", "bundle.json"}


@pytest.mark.parametrize("names", ['["../outside"]', '["/etc/hostname"]', '["linked/outside"]', '["out', "[1]", ""])
def test_a_list_that_names_what_is_outside_or_is_not_whole_removes_nothing(bundle: Bundle, names: str) -> None:
    outside = bundle.path.with_name("outside")
    outside.write_text("somebody else's")
    (bundle.path / "linked").symlink_to(bundle.path.parent)
    (bundle.path / ".changing-1").write_text(names)
    with staging_folder(bundle):
        assert not (bundle.path / ".changing-1").exists()
    assert outside.exists()
