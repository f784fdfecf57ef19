"""A bundle is complete when it gets the target's name, and replaces only what may be replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from uhd_edge.export import bundle_writer
from uhd_edge.export.bundle_writer import BundleWriter
from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import OutputError


def test_an_existing_target_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine.txt").touch()
    with pytest.raises(OutputError, match="exists already; choose another name, or overwrite it with --force"):
        export_bundle("no/such/checkpoint", tmp_path / "bundle")
    with pytest.raises(OutputError, match="not a bundle, so --force does not overwrite it"):
        export_bundle("no/such/checkpoint", tmp_path / "bundle", overwrite=True)
    with pytest.raises(OutputError, match="exists and is not a folder"):
        export_bundle("no/such/checkpoint", tmp_path / "bundle" / "mine.txt", overwrite=True)
    assert [entry.name for entry in tmp_path.rglob("*")] == ["bundle", "mine.txt"]


def test_an_empty_folder_may_become_the_bundle(tmp_path: Path, quick: Any) -> None:
    (tmp_path / "bundle").mkdir()
    quick(tmp_path / "bundle").check_files()


def test_a_bundle_is_replaced_on_request_and_only_by_a_complete_one(tmp_path: Path, quick: Any) -> None:
    target = tmp_path / "bundle"
    quick(target, name="old")

    def break_off(stage: str, _: float) -> None:
        if stage.startswith("graphs: encoder 4x fp16"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(target, name="new", overwrite=True, progress=break_off)
    assert Bundle.open(target).manifest.name == "old"
    quick(target, name="new", overwrite=True, modes=["16x"])
    assert Bundle.open(target).manifest.name == "new"
    Bundle.open(target).check_files()
    assert not (target / "graphs" / "encoder-4x-fp32.onnx").exists()
    assert list(tmp_path.iterdir()) == [target]


def test_an_export_that_still_runs_is_not_cleaned_up(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "bundle") as first:
        with BundleWriter(tmp_path / "bundle") as second:
            assert first.folder.exists()
            assert second.folder != first.folder
        assert not second.folder.exists()
        assert first.folder.exists()


def test_the_old_bundle_of_an_export_that_still_runs_is_left_to_it(tmp_path: Path, quick: Any) -> None:
    target = tmp_path / "bundle"
    with BundleWriter(target) as running:
        old = running.folder.with_name(running.folder.name + bundle_writer.REPLACED)
        old.mkdir()
        with BundleWriter(target):
            assert old.exists()
            assert not target.exists()
    quick(target, overwrite=True).check_files()
    assert list(tmp_path.iterdir()) == [target]


def test_a_bundle_is_there_at_every_moment_of_its_replacement(
    tmp_path: Path, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "bundle"
    quick(target, name="old")

    def refuse(path: Path, name: Path) -> Path:
        assert target not in (path, name)
        return rename(path, name)

    rename = Path.rename
    monkeypatch.setattr(Path, "rename", refuse)
    quick(target, name="new", overwrite=True)
    assert Bundle.open(target).manifest.name == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_interrupt_between_the_two_renames_puts_the_old_bundle_back(
    tmp_path: Path, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "bundle"
    quick(target, name="old")
    rename = Path.rename

    def interrupt_the_second(path: Path, name: Path) -> Path:
        if name == target and not path.name.endswith(bundle_writer.REPLACED):
            raise KeyboardInterrupt
        return rename(path, name)

    monkeypatch.setattr(bundle_writer, "exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", interrupt_the_second)
    with pytest.raises(KeyboardInterrupt):
        quick(target, name="new", overwrite=True)
    assert Bundle.open(target).manifest.name == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_of_reading_another_file_is_raised_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), BundleWriter(tmp_path / "bundle") as writer:
        writer.copy(tmp_path / "missing", "llm.gguf")
    assert list(tmp_path.iterdir()) == []
