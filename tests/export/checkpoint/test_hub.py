"""A name that is not a folder is looked up on Hugging Face."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils.tqdm import are_progress_bars_disabled
from support.export.changed_checkpoint import refusal

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-of-this-name/model/4", "a\0b"])
def test_a_name_that_no_folder_can_have_is_refused(name: str) -> None:
    assert refusal(name)


def test_without_a_network_a_name_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    message = refusal("openbmb/MiniCPM-V-4.6")
    assert message.startswith("openbmb/MiniCPM-V-4.6: no such folder, and Hugging Face cannot be reached")


def test_a_name_is_taken_from_hugging_faces_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "cache" / "models--somebody--model"
    shutil.copytree(folder, repository / "snapshots" / "0123")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with open_checkpoint("somebody/model") as checkpoint:
        assert checkpoint.folder == repository / "snapshots" / "0123"


def fails_with(error: Exception) -> Callable[..., str]:
    def snapshot_download(*_: object, **__: object) -> str:
        raise error

    return snapshot_download


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (RepositoryNotFoundError, "neither a local folder nor a public checkpoint on Hugging Face"),
        (GatedRepoError, "its owner wants users to accept terms"),
        (HfHubHTTPError, "Hugging Face cannot be reached"),
    ],
)
def test_an_error_of_hugging_face_is_reported_in_one_line(
    kind: type[HfHubHTTPError], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = kind("several\nlines", response=MagicMock())
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails_with(error))
    assert reason in refusal("somebody/model")


def test_progress_bars_stay_out_of_log_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[bool] = []

    def snapshot_download(*_: object, **__: object) -> str:
        shown.append(not are_progress_bars_disabled())
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    for terminal in (False, True):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        open_checkpoint("somebody/model").close()
    assert shown == [False, True]
    assert not are_progress_bars_disabled()
