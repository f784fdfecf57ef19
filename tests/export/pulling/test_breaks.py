"""Connections that break, processes that are killed, and files that arrive damaged."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.export.outcome import one_line, run_python
from support.pulling.local_hub import GGUF, LANGUAGE_MODEL, MODEL

from uhd_edge.export.checkpoint import hub as checkpoint_hub
from uhd_edge.export.pulling import download
from uhd_edge.export.pulling import hub as hub_module
from uhd_edge.export.pulling.pull import pull_model
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.kept_models import list_fetched, list_models
from uhd_edge.runtime.errors import DownloadError

if TYPE_CHECKING:
    from support.pulling.local_hub import LocalHub

KILLED = """
import os, signal, sys
from uhd_edge.export.pulling import pull
def progress(stage, fraction):
    if fraction >= float(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
pull.pull_model(sys.argv[1], precisions=["fp32"], modes=["4x"], progress=progress)
"""


def nothing_half_written() -> bool:
    return [model.name for model in list_models()] == ["uhd-tiny"]


def test_five_cuts_in_one_pull_are_got_over_without_a_byte_twice(hub: LocalHub, quick: object) -> None:
    hub.cuts += [100_000, 200_000, 0, 70_000, 150_000]
    pull_model(MODEL).check_files()
    begun = [int(asked[6:-1]) for _, asked in hub.downloaded() if asked is not None]
    assert begun == [100_000, 300_000, 300_000, 370_000, 520_000]


def test_a_pull_that_is_killed_again_and_again_ends_well(hub: LocalHub) -> None:
    for part in (0.15, 0.3, 0.9):  # twice while it downloads, and once while it exports
        assert run_python(KILLED, MODEL, part).returncode == -signal.SIGKILL
        assert nothing_half_written()
        assert [files.name for files in list_fetched()] == ["tiny-v"]
    bundle = pull_model(MODEL, precisions=["fp32"], modes=["4x"])
    bundle.check_files()
    assert list_fetched() == []
    assert [entry.name for entry in bundle.path.parent.iterdir() if entry.name != ".fetched"] == ["tiny-v"]
    resumed = [asked for _, asked in hub.downloaded() if asked is not None]
    assert len(resumed) == 2
    assert len(hub.downloaded()) - len(resumed) == 2  # each large file was begun once


def test_a_connection_that_brings_nothing_any_more_is_given_up_and_what_came_is_kept(
    hub: LocalHub, quick: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[float] = []
    monkeypatch.setattr(download, "PAUSES", (1.0, 2.0))
    monkeypatch.setattr(time, "sleep", paused.append)
    hub.cuts += [300_000, 0, 0, 0]
    with pytest.raises(DownloadError) as caught:
        pull_model(MODEL)
    assert "model.safetensors of somebody/Tiny-V" in one_line(caught)
    assert "run the same command again, it goes on where it stopped" in str(caught.value)
    assert paused == [1.0, 2.0]
    assert nothing_half_written()
    pull_model(MODEL).check_files()
    assert hub.downloaded()[4][1] == "bytes=300000-"


@pytest.mark.parametrize("name", ["model.safetensors", GGUF])
def test_a_file_with_another_checksum_is_not_kept(hub: LocalHub, quick: object, name: str) -> None:
    hub.wrong.add(name)
    with pytest.raises(DownloadError) as caught:
        pull_model(MODEL)
    assert f"{name} of somebody/Tiny-V" in one_line(caught)
    assert "another checksum than it states; nothing of it is kept" in str(caught.value)
    assert nothing_half_written()
    hub.wrong.clear()
    pull_model(MODEL).check_files()


def test_a_small_file_that_was_changed_on_the_way_is_not_kept(
    hub: LocalHub, quick: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = hub.info
    stated = {MODEL: info(MODEL), LANGUAGE_MODEL: info(LANGUAGE_MODEL)}
    monkeypatch.setattr(hub, "info", stated.get)
    content = hub.repositories[MODEL]["tokenizer_config.json"]
    hub.repositories[MODEL]["tokenizer_config.json"] = content.replace(b"eos_token", b"eos_tokem")
    with pytest.raises(DownloadError, match=r"tokenizer_config.json of somebody/Tiny-V: .*another checksum"):
        pull_model(MODEL)


@pytest.mark.parametrize("stated", ["", "../../elsewhere", None])
def test_a_server_that_states_no_checksum_is_not_trusted(
    hub: LocalHub, quick: object, monkeypatch: pytest.MonkeyPatch, stated: str | None
) -> None:
    info = hub.info(MODEL)
    info["siblings"][0]["blobId"] = stated
    info["siblings"][0].pop("lfs", None)
    monkeypatch.setattr(hub, "info", lambda _: info)
    with pytest.raises(DownloadError, match=r"somebody/Tiny-V: http://127.0.0.1:\d+ states no checksum of "):
        pull_model(MODEL)


def test_what_was_left_damaged_is_downloaded_again(hub: LocalHub, quick: object, models: Path) -> None:
    hub.cuts += [300_000, 0, 0, 0]
    with pytest.raises(DownloadError):
        pull_model(MODEL)
    (part,) = (models / ".fetched" / "tiny-v" / "parts").iterdir()
    part.write_bytes(b"\0" * 300_000)
    pull_model(MODEL).check_files()
    assert [asked for _, asked in hub.downloaded()[4:]] == ["bytes=300000-", None, None]


def test_a_server_that_sends_no_rest_is_asked_for_the_whole(hub: LocalHub, quick: object) -> None:
    hub.ranges = False
    hub.cuts += [100_000, 200_000]
    pull_model(MODEL).check_files()


def test_a_busy_hub_is_asked_again(hub: LocalHub, quick: object) -> None:
    hub.statuses += [503, 429, 200, 502]
    pull_model(MODEL).check_files()


def test_a_hub_that_is_busy_for_long_is_not_taken_for_one_without_a_language_model(
    hub: LocalHub, quick: object
) -> None:
    hub.statuses += [200, 200, 503, 503, 503]  # the checkpoint, whether its own repository has one, the one beside it
    with pytest.raises(DownloadError, match=rf"^{LANGUAGE_MODEL}: .* is busy \(status 503\); run the same command"):
        pull_model(MODEL)
    assert hub.downloaded() == []
    pull_model(MODEL).check_files()


def test_a_private_repository_is_given_to_who_has_the_token(
    hub: LocalHub, quick: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_secret"
    with pytest.raises(DownloadError, match=r"no such public repository on .*; for a private one set HF_TOKEN"):
        pull_model(MODEL)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull_model(MODEL)
    # The storage is another server, and the token is none of its business.
    assert {who for path, _, who in hub.asked if path.startswith("/storage/")} == {None}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("GatedRepo", "its owner asks for consent; give it on http://127.0.0.1"),
        ("", "refuses the token (status 403); set HF_TOKEN to a valid one"),
    ],
)
def test_a_repository_that_is_not_given_is_said_in_one_line(hub: LocalHub, quick: object, code: str, said: str) -> None:
    hub.gated[MODEL] = code
    with pytest.raises(DownloadError) as caught:
        pull_model(MODEL)
    assert said in one_line(caught)


def test_without_a_network_one_line_says_so(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PAUSES", (0.0,))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DownloadError) as caught:
        pull_model("minicpm-v-4.6")
    assert one_line(caught).startswith("openbmb/MiniCPM-V-4.6: http://127.0.0.1:1 cannot be reached (")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match=r"openbmb/MiniCPM-V-4\.6: HF_HUB_OFFLINE is set; unset it to download"):
        pull_model("minicpm-v-4.6")
    assert not models.exists()


@pytest.mark.parametrize("address", ["foo", "http://", "ftp://somewhere", "http://[::1", "http://localhost:abc"])
def test_an_endpoint_that_is_no_address_is_said_at_once(
    models: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it is not worth another attempt"))
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(DownloadError) as caught:
        pull_model("minicpm-v-4.6")
    assert one_line(caught).startswith("HF_ENDPOINT is '")
    assert one_line(caught).endswith("it must be an address such as https://huggingface.co")
    with pytest.raises(DownloadError, match="HF_ENDPOINT is"):
        checkpoint_hub.download("openbmb/MiniCPM-V-4.6")  # as `uhd export` does


WITHOUT_TORCH = """
import sys
from uhd_edge.cli.main import run
run(["pull", sys.argv[1], "--name", "mine", "--precisions", "fp16", "--modes", "4x"])
"""


def test_a_pull_with_a_ready_language_model_needs_neither_torch_nor_transformers(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "transformers", "gguf"):
        (tmp_path / "without" / name).mkdir(parents=True)
        (tmp_path / "without" / name / "__init__.py").write_text(f"raise ModuleNotFoundError(name={name!r})")

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "without"), os.environ.get("PYTHONPATH", "")]))
    assert run_python("import torch").returncode == 1
    done = run_python(WITHOUT_TORCH, MODEL)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'models' / 'mine'}\n"), done.stderr
    Bundle.open("mine").check_files()
