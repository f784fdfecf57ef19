"""An export that is killed leaves no incomplete bundle, and the next export cleans up."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from support.export.outcome import run_python

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import OutputError

KILLED = """
import os, signal, sys
from pathlib import Path
from uhd_edge.export.bundle_writer import BundleWriter
with BundleWriter(Path(sys.argv[1])) as writer:
    (writer.folder / "llm.gguf").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_export_leaves_no_bundle_and_the_next_one_cleans_up(tmp_path: Path, quick: Any) -> None:
    target = tmp_path / "bundle[1]"
    assert run_python(KILLED, target).returncode == -signal.SIGKILL
    (leftover,) = tmp_path.iterdir()
    assert (leftover / "llm.gguf").exists()
    assert not target.exists()
    (tmp_path / ".other.partial-1").mkdir()
    quick(target).check_files()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".other.partial-1", "bundle[1]"]


KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
from uhd_edge.export import bundle_writer
from uhd_edge.export.bundle_writer import BundleWriter
from uhd_edge.runtime.bundles.bundle import Bundle

bundle_writer.exchange = lambda *_: False
rename = Path.rename
def rename_until_the_target(path, name):
    if Path(name) == target:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, name)

target = Path(sys.argv[1])
Path.rename = rename_until_the_target
old = Bundle.open(target)
with BundleWriter(target, overwrite=True) as writer:
    for name in old.manifest.files:
        (writer.folder / name).parent.mkdir(exist_ok=True)
        writer.copy(target / name, name)
    writer.finish(old.manifest)
"""


def test_an_old_bundle_survives_a_kill_between_the_two_renames_of_its_replacement(tmp_path: Path, quick: Any) -> None:
    target = tmp_path / "bundle"
    quick(target, name="old")
    done = run_python(KILLED_BETWEEN, target)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not target.exists()
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(OutputError, match="exists already"):
        quick(target, name="new")
    assert Bundle.open(target).manifest.name == "old"
    Bundle.open(target).check_files()
    quick(target, name="new", overwrite=True)
    assert Bundle.open(target).manifest.name == "new"
    assert list(tmp_path.iterdir()) == [target]
