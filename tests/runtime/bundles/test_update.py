"""Files are added to a bundle at once or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.handmade_bundle import FILES, write_bundle

from uhd_edge.engines.unfinished import locked
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.update import abandoned_in, add_files, free_names, staging_folder
from uhd_edge.runtime.errors import OutputError

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.manifest import Manifest


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(write_bundle(tmp_path / "bundle"))


def staged(folder: Path, content: bytes = b"a report") -> Path:
    file = folder / "new"
    file.write_bytes(content)
    return file


def with_report(name: str, *, without: tuple[str, ...] = ()) -> object:
    def change(old: Manifest) -> Manifest:
        files = {file: record for file, record in old.files.items() if file not in without}
        return old.model_copy(update={"calibration": name, "files": files})

    return change


def everything_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_an_added_file_is_recorded_and_the_bundle_verifies(bundle: Bundle) -> None:
    with staging_folder(bundle) as folder:
        added = add_files(bundle, {"reports/calibration.json": staged(folder)}, with_report("reports/calibration.json"))
    assert added == Bundle.open(bundle.path)
    added.check_files()
    assert everything_in(bundle.path) == {*FILES, "reports/calibration.json", "bundle.json"}


def test_a_file_that_is_left_out_of_the_record_is_removed_last(bundle: Bundle) -> None:
    with staging_folder(bundle) as folder:
        add_files(bundle, {"first.json": staged(folder)}, with_report("first.json"))
        replaced = add_files(
            Bundle.open(bundle.path),
            {"second.json": staged(folder, b"another")},
            with_report("second.json", without=("first.json",)),
        )
    replaced.check_files()
    assert everything_in(bundle.path) == {*FILES, "second.json", "bundle.json"}


def test_a_taken_name_is_refused_and_a_free_one_is_numbered(bundle: Bundle) -> None:
    names = ["graphs/connector-fp32.onnx", "other.json"]
    assert free_names(bundle, names) == {names[0]: "graphs/connector-fp32.2.onnx", names[1]: "other.2.json"}
    with staging_folder(bundle) as folder, pytest.raises(OutputError, match="exists already"):
        add_files(bundle, {"llm.gguf": staged(folder)}, with_report("llm.gguf"))
    Bundle.open(bundle.path).check_files()


def test_a_change_that_fails_leaves_the_old_bundle(bundle: Bundle) -> None:
    def fail(old: Manifest) -> Manifest:
        raise OSError(28, "No space left on device")

    def unrecorded(old: Manifest) -> Manifest:
        return old.model_copy(update={"default_mode": "8x"})

    for change, error in ((fail, OutputError), (unrecorded, ValueError)):
        with staging_folder(bundle) as folder, pytest.raises(error):
            add_files(bundle, {"calibration.json": staged(folder)}, change)
        assert Bundle.open(bundle.path) == bundle
        assert everything_in(bundle.path) == {*FILES, "bundle.json"}


def test_a_manifest_that_cannot_be_replaced_takes_the_new_files_back(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with staging_folder(bundle) as folder, pytest.raises(OutputError, match="Permission denied"):
        add_files(bundle, {"calibration.json": staged(folder)}, with_report("calibration.json"))
    assert everything_in(bundle.path) == {*FILES, "bundle.json"}
    bundle.check_files()


STAGED_AND_KILLED = """
import os, signal, sys
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.update import staging_folder
with staging_folder(Bundle.open(sys.argv[1])) as folder:
    (folder / "new").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_staged_is_named_and_the_next_one_removes_it(bundle: Bundle) -> None:
    done = subprocess.run([sys.executable, "-c", STAGED_AND_KILLED, str(bundle.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    ((left, size),) = abandoned_in(bundle.path)
    assert (left.name.startswith(".adding-"), size) == (True, 4)
    said: list[str] = []
    with staging_folder(bundle, said.append) as folder:
        assert not left.exists()
        assert folder.exists()
        assert abandoned_in(bundle.path) == []
    assert said == [f"removed {left} (0.0 MB), left by a run that was killed"]


COPIED_AND_KILLED = """
import os, signal, sys
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.update import abandoned_in, copy_beside
bundle = Bundle.open(sys.argv[1])
graph = next(iter(bundle.graphs("4x", "fp32")))
with copy_beside(graph) as copy:
    copy.write_bytes(b"half")
    assert abandoned_in(bundle.path) == []
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_copy_of_a_graph_that_a_killed_run_left_is_named_and_the_next_one_removes_it(bundle: Bundle) -> None:
    done = subprocess.run([sys.executable, "-c", COPIED_AND_KILLED, str(bundle.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    ((left, size),) = abandoned_in(bundle.path)
    assert (left.parent, size) == (bundle.path / "graphs", 4)
    with staging_folder(bundle):
        assert not left.exists()


def test_two_runs_that_stage_at_once_leave_each_other_alone(bundle: Bundle) -> None:
    with staging_folder(bundle) as first, staging_folder(bundle) as second:
        assert first.exists()
        assert first != second


def test_a_bundle_names_what_a_killed_export_left_beside_it_and_a_killed_build_within(bundle: Bundle) -> None:
    beside = bundle.path.with_name(f".{bundle.path.name}.partial-1")
    beside.mkdir()
    engine = bundle.path / "engines" / "rtx-40" / ".encoder.engine.partial"
    engine.parent.mkdir(parents=True)
    engine.write_bytes(b"half")
    lone, cache = engine.with_name("connector.engine"), engine.with_name(".timing.cache.1a2b")
    lone.write_bytes(b"without a record")
    cache.write_bytes(b"half")
    for kept in ("decoder.engine", "decoder.engine.json", "timing.cache"):
        engine.with_name(kept).touch()
    assert abandoned_in(bundle.path) == [(beside, 0), (engine, 4), (cache, 4), (lone, 16)]
    with locked(engine.parent):
        assert abandoned_in(bundle.path) == [(beside, 0)]
