"""The models on this machine: what is listed, and what removing one frees."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from support.export.outcome import run_python

from uhd_edge.engines.unfinished import locked, size_on_disk
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.kept_models import list_fetched, list_models, remove_model
from uhd_edge.runtime.errors import BundleError, OptionError, OutputError


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UHD_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def mine(models: Path) -> Path:
    return shutil.copytree(Bundle.open().path, models / "mine")


def test_without_a_models_folder_there_is_the_built_in_model(models: Path) -> None:
    assert [(model.name, model.bundle) for model in list_models()] == [("uhd-tiny", Bundle.open())]
    assert list_fetched() == []


def test_models_are_listed_with_all_that_they_take(mine: Path) -> None:
    (mine / "engines").mkdir()
    (mine / "engines" / "an.engine").write_bytes(b"12345")
    _, model = list_models()
    assert (model.name, model.path, model.problem) == ("mine", mine, "")
    assert model.bytes == size_on_disk(mine) == size_on_disk(Bundle.open().path) + 5


def test_what_is_not_whole_is_no_model(models: Path, mine: Path) -> None:
    shutil.copytree(mine, models / ".mine.partial-123")
    shutil.copytree(mine, models / ".fetched" / "half" / "checkpoint")
    (models / "a.file").touch()
    assert [model.name for model in list_models()] == ["uhd-tiny", "mine"]
    assert [(files.name, files.bytes) for files in list_fetched()] == [("half", size_on_disk(mine))]


def test_a_damaged_model_is_listed_with_what_is_wrong(mine: Path) -> None:
    (mine / "bundle.json").write_text("{")
    _, model = list_models()
    assert model.bundle is None
    assert model.problem.startswith(f"{mine / 'bundle.json'}: ")
    assert remove_model("mine") == model.bytes


def test_removing_frees_a_model_and_what_was_downloaded_for_it(models: Path, mine: Path) -> None:
    size = size_on_disk(mine)
    (models / ".fetched" / "mine" / "parts").mkdir(parents=True)
    (models / ".fetched" / "mine" / "parts" / "abc").write_bytes(b"123")
    (models / ".mine.partial-0123").mkdir()  # of an export that was killed
    (models / ".mine.partial-0123" / "llm.gguf").write_bytes(b"12345")
    assert remove_model("MINE") == size + 8
    assert [model.name for model in list_models()] == ["uhd-tiny"]
    assert list_fetched() == []
    assert [entry.name for entry in models.iterdir()] == [".fetched"]


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("uhd-tiny", BundleError, "uhd-tiny is part of uhd-edge and cannot be removed"),
        ("nothing", BundleError, r"nothing: no such model on this machine; there are uhd-tiny, mine"),
        ("../mine", OptionError, "is not a name for a model"),
        (".fetched", OptionError, "is not a name for a model"),
    ],
)
def test_what_is_no_model_is_not_removed(mine: Path, name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        remove_model(name)
    Bundle.open("mine").check_files()


def test_a_model_that_is_being_pulled_is_not_removed(models: Path, mine: Path) -> None:
    (models / ".fetched" / "mine").mkdir(parents=True)
    with locked(models / ".fetched" / "mine"), pytest.raises(OutputError, match="mine is being pulled by another"):
        remove_model("mine")
    Bundle.open("mine").check_files()


KILLED = """
import os, shutil, signal
from uhd_edge.runtime.bundles import kept_models
def killed(path):
    (path / "bundle.json").unlink()
    os.kill(os.getpid(), signal.SIGKILL)
shutil.rmtree = killed
kept_models.remove_model("mine")
"""


def test_a_removal_that_is_killed_leaves_no_half_of_a_model_and_the_next_one_ends_it(models: Path, mine: Path) -> None:
    shutil.copytree(mine, models / "other")
    assert run_python(KILLED).returncode == -signal.SIGKILL
    assert [model.name for model in list_models()] == ["uhd-tiny", "other"]
    remove_model("other")
    assert list(models.iterdir()) == []
