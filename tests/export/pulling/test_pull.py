"""A pull brings a model whole and keeps it under a name, or says in one line why it cannot."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections import namedtuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.export.outcome import one_line
from support.pulling.local_hub import GGUF, LANGUAGE_MODEL, MODEL

from uhd_edge.engines.unfinished import locked
from uhd_edge.export.pulling import download
from uhd_edge.export.pulling.pull import pull_model
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.kept_models import list_fetched, list_models
from uhd_edge.runtime.errors import CheckpointError, ModelError, OptionError, OutputError, UhdError

if TYPE_CHECKING:
    from support.pulling.local_hub import LocalHub


def names() -> list[str]:
    return [model.name for model in list_models()]


def test_a_pulled_model_is_opened_by_its_name(hub: LocalHub, models: Path, qwen3_bundle: Bundle) -> None:
    told: list[str] = []
    seen: list[tuple[str, float]] = []
    bundle = pull_model(MODEL, progress=lambda stage, part: seen.append((stage, part)), tell=told.append)
    bundle.check_files()
    assert bundle.path == models / "tiny-v"
    assert Bundle.open("tiny-v") == Bundle.open("Tiny-V") == bundle
    graphs = {name: record for name, record in bundle.manifest.files.items() if name.startswith("graphs/")}
    assert graphs == {name: qwen3_bundle.manifest.files[name] for name in graphs}
    assert bundle.llm_path.read_bytes() == qwen3_bundle.llm_path.read_bytes()
    assert bundle.manifest.name == "tiny-v"
    assert bundle.manifest.origin is not None
    assert bundle.manifest.origin.model_dump() == {
        "checkpoint": MODEL,
        "checkpoint_revision": hub.commits[MODEL],
        "language_model": f"{LANGUAGE_MODEL}/{GGUF}",
        "language_model_revision": hub.commits[LANGUAGE_MODEL],
    }
    with Assistant("tiny-v", context=256) as assistant:
        assert assistant.bundle == bundle
    parts = [part for _, part in seen]
    assert parts == sorted(parts)
    assert parts[-1] == 1
    assert f"MB to download: {MODEL} at {hub.commits[MODEL][:12]}, {GGUF} of {LANGUAGE_MODEL}" in told[0]
    assert "the downloaded files are removed, which frees" in told[-1]
    assert list_fetched() == []
    assert not any("/mmproj-" in path or "/mtp-" in path for path, *_ in hub.asked)


def test_a_model_that_is_here_already_is_not_pulled_again_without_being_forced(
    hub: LocalHub, quick: list[dict[str, Any]]
) -> None:
    first = pull_model(MODEL, name="mine", precisions=["fp32"], modes=["4x"])
    assert (quick[0]["precisions"], quick[0]["modes"]) == (["fp32"], ["4x"])
    asked, told = len(hub.asked), list[str]()
    assert pull_model(MODEL, name="Mine", tell=told.append) == first
    assert told == ["mine is here already; --force pulls it anew"]
    assert len(hub.asked) == asked
    commit = hub.change(MODEL, "generation_config.json", hub.repositories[MODEL]["generation_config.json"] + b"\n")
    again = pull_model(MODEL, name="mine", overwrite=True)
    assert again.manifest.origin is not None
    assert again.manifest.origin.checkpoint_revision == commit
    assert names() == ["uhd-tiny", "mine"]


def test_kept_files_are_not_downloaded_again_and_those_of_another_commit_are_removed(
    hub: LocalHub, quick: list[dict[str, Any]]
) -> None:
    hub.change(MODEL, "of an old commit.json", b"{}")
    pull_model(MODEL, keep_checkpoint=True)
    ((kept,), before) = list_fetched(), len(hub.downloaded())
    assert kept.name == "tiny-v"
    del hub.repositories[MODEL]["of an old commit.json"]
    hub.change(MODEL, "generation_config.json", hub.repositories[MODEL]["generation_config.json"] + b"\n")
    pull_model(MODEL, overwrite=True, keep_checkpoint=True)
    assert len(hub.downloaded()) == before
    assert "of an old commit.json" in quick[0]["files"]
    assert quick[1]["files"] == sorted(hub.repositories[MODEL])
    changed = kept.path / "checkpoint" / "generation_config.json"
    assert changed.read_bytes() == hub.repositories[MODEL]["generation_config.json"]


def test_a_folder_with_a_checkpoint_is_kept_under_a_name(
    models: Path, qwen3_checkpoint: Path, qwen3_bundle: Bundle, tmp_path: Path
) -> None:
    folder = shutil.copytree(qwen3_checkpoint, tmp_path / "My Checkpoint")
    with pytest.raises(OptionError, match=r"'my checkpoint' is not a name for a model.*--name"):
        pull_model(str(folder))
    bundle = pull_model(str(folder), name="mine", llm=qwen3_bundle.llm_path, precisions=["fp32"])
    assert Bundle.open("mine") == bundle
    assert bundle.manifest.origin is not None
    assert bundle.manifest.origin.checkpoint == str(folder)
    with pytest.raises(CheckpointError, match="is a bundle already; name it with --bundle"):
        pull_model(str(bundle.path))


def test_another_architecture_is_refused_before_its_weights_are_downloaded(hub: LocalHub, models: Path) -> None:
    hub.change(MODEL, "config.json", hub.repositories[MODEL]["config.json"].replace(b"minicpmv4_6", b"minicpmv9"))
    with pytest.raises(CheckpointError, match=r"somebody/Tiny-V: .*'minicpmv9\w*' is not supported"):
        pull_model(MODEL)
    assert hub.downloaded() == []
    assert list_fetched() == []


def test_too_little_room_is_said_before_the_weights_are_downloaded(
    hub: LocalHub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9, 9, 3_000_000))
    with pytest.raises(OutputError) as caught:
        pull_model(MODEL)
    assert "the rest of the download and the export need about" in one_line(caught)
    assert "but only 3.0 MB are free; free some space, or set UHD_MODELS" in str(caught.value)
    assert hub.downloaded() == []
    assert names() == ["uhd-tiny"]


@pytest.mark.parametrize(
    ("code", "said"), [(errno.ENOSPC, "no space left on the disk"), (errno.EDQUOT, "quota"), (errno.EIO, "UHD_MODELS")]
)
def test_a_disk_that_fills_up_ends_in_one_line_and_the_next_pull_goes_on(
    hub: LocalHub, quick: object, monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    written = 0

    class Full(download.FileIO):
        def write(self, piece: bytes) -> int:  # type: ignore[override]
            nonlocal written
            if written > 500_000:
                raise OSError(code, os.strerror(code))
            written += (count := super().write(piece[:100_000]))
            return count

    with monkeypatch.context() as patched:
        patched.setattr(download, "FileIO", Full)
        with pytest.raises(OutputError) as caught:
            pull_model(MODEL)
    assert said in one_line(caught)
    assert names() == ["uhd-tiny"]
    (begun,) = list_fetched()
    assert begun.bytes >= 500_000
    pull_model(MODEL).check_files()
    assert any(asked for _, asked in hub.downloaded())


def test_a_model_that_is_being_pulled_is_left_to_the_process_that_pulls_it(hub: LocalHub, models: Path) -> None:
    (models / ".fetched" / "tiny-v").mkdir(parents=True)
    with locked(models / ".fetched" / "tiny-v"), pytest.raises(OutputError, match="tiny-v is being pulled by another"):
        pull_model(MODEL)


def test_a_language_model_of_another_width_is_refused_and_the_download_is_kept(hub: LocalHub, tmp_path: Path) -> None:
    from support.tiny_gguf import write_gguf

    hub.change(LANGUAGE_MODEL, GGUF, write_gguf(tmp_path / "other.gguf").read_bytes())
    with pytest.raises(ModelError):
        pull_model(MODEL)
    assert names() == ["uhd-tiny"]
    assert [files.name for files in list_fetched()] == ["tiny-v"]


def test_a_model_without_a_ready_language_model_is_converted(hub: LocalHub, quick: list[dict[str, Any]]) -> None:
    del hub.repositories[LANGUAGE_MODEL]
    bundle = pull_model(MODEL, llm_type="f32")
    assert (quick[0]["llm"], quick[0]["llm_type"]) == (None, "f32")
    assert bundle.manifest.origin is not None
    assert bundle.manifest.origin.language_model is None


def test_without_what_a_conversion_needs_nothing_is_downloaded(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    del hub.repositories[LANGUAGE_MODEL]
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UhdError, match=r"needs torch: pip install 'uhd-edge\[export\]', or give a ready one"):
        pull_model(MODEL)
    assert hub.downloaded() == []
