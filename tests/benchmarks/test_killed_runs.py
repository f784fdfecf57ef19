"""A run that is killed at a drawn change of the disk leaves a usable bundle, and the next run mends the rest."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.places import BENCHMARKS

MOMENTS = 2


@pytest.fixture(scope="module")
def modules() -> Iterator[tuple[Any, Any]]:
    """The benchmark's two modules, `killing` and `mending`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS / "killed_runs"))
        yield importlib.import_module("killing"), importlib.import_module("mending")


def test_a_kit_whose_writing_was_killed_is_written_by_the_next_run(modules: tuple[Any, Any], tmp_path: Path) -> None:
    killing, mending = modules
    kit = killing.COMMANDS["kit"]
    (tmp_path / "whole").mkdir()
    whole = killing.run_whole(kit, tmp_path / "whole")
    for change in random.Random(5).sample(range(whole.changes - 1), MOMENTS):  # at the last one, the kit is there
        folder = tmp_path / str(change)
        folder.mkdir()
        kit.prepare(folder)
        killing.kill_at(change, kit, folder)
        assert not (folder / "kit.tar.gz").exists()
        assert list(mending.check(kit, folder, whole)) == []


def test_what_a_run_did_not_mend_is_told(modules: tuple[Any, Any], tmp_path: Path) -> None:
    killing, mending = modules
    build = killing.COMMANDS["build"]
    build.prepare(tmp_path)
    (tmp_path / "bundle" / ".partial").write_text("left")
    (tmp_path / "bundle" / "graphs" / "connector-fp32.onnx").unlink()
    kept = killing.contents(tmp_path)
    idle = killing.Command("idle", build.prepare, lambda _: ["--version"], "bundle")
    told = list(mending.check(idle, tmp_path, killing.Whole({**kept, "bundle/new": "1"}, 1.0, 1)))
    for said in (
        "the bundle does not answer",
        "inspect does not name bundle/.partial",
        "the next run does not say that it removed bundle/.partial",
        "bundle/new is missing",
        "left behind",
    ):
        assert any(said in line for line in told), said
