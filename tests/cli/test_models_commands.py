"""`uhd pull`, `uhd list` and `uhd remove`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.places import EXAMPLES

from uhd_edge.cli.main import exit_code
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.known_models import KNOWN_MODELS
from uhd_edge.runtime.bundles.manifest import Manifest, Origin

if TYPE_CHECKING:
    from collections.abc import Callable

BENCH, QUESTION = str(EXAMPLES / "bench.png"), "What is the code on the white star?"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UHD_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def mine(models: Path) -> Path:
    """A model that came from the Hub, which is uhd-tiny."""
    folder = shutil.copytree(Bundle.open().path, models / "mine")
    manifest = json.loads((folder / "bundle.json").read_text())
    origin = Origin(checkpoint="me/mine", checkpoint_revision="0123456789abcdef")
    (folder / "bundle.json").write_text(
        Manifest.model_validate(manifest | {"origin": origin.model_dump()}).model_dump_json()
    )
    return folder


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run_uhd(*arguments: str) -> tuple[int, str, str]:
        code = exit_code([*arguments])
        return (code, *capfd.readouterr())

    return run_uhd


def test_the_real_model_by_name_is_answered_with_the_one_command_that_brings_it(
    run: Callable[..., tuple[int, str, str]], models: Path
) -> None:
    code, out, error = run("ask", BENCH, QUESTION, "--bundle", "minicpm-v-4.6")
    assert (code, out) == (1, "")
    assert error == (
        "uhd: minicpm-v-4.6 is not on this machine; `uhd pull minicpm-v-4.6` brings it (3.1 GB to download)\n"
    )


def test_a_model_is_asked_by_its_name(run: Callable[..., tuple[int, str, str]], mine: Path) -> None:
    code, out, _ = run("ask", BENCH, QUESTION, "--bundle", "mine")
    assert code == 0
    assert (code, out) == run("ask", BENCH, QUESTION)[:2]
    assert "mine" in run("inspect", "mine")[1]
    assert "me/mine at 0123456789abcdef" in run("inspect", "mine")[1]


def test_the_list_shows_models_with_their_sizes(
    run: Callable[..., tuple[int, str, str]], models: Path, mine: Path
) -> None:
    (models / ".fetched" / "minicpm-v-4.6" / "parts").mkdir(parents=True)
    (models / ".fetched" / "minicpm-v-4.6" / "parts" / "abc").write_bytes(b"\0" * 200_000)
    shutil.copytree(mine, models / "broken")
    (models / "broken" / "llm.gguf").unlink()
    code, out, error = run("list")
    assert code == 0
    heading, tiny, ours = out.splitlines()
    assert heading.split() == ["name", "size", "graphs", "language", "model", "from"]
    assert tiny.startswith("uhd-tiny ")
    assert " MB  16x (fp32" in ours
    assert ours.endswith("  me/mine at 0123456789ab")
    problem, download, more = error.splitlines()
    assert problem.startswith(f"uhd: broken cannot be used: {models / 'broken'}: llm.gguf is missing;")
    assert problem.endswith("`uhd remove broken` removes it")
    assert download == (
        "uhd: minicpm-v-4.6: 0.2 MB are downloaded; `uhd pull` goes on from there, "
        "`uhd remove minicpm-v-4.6` removes them"
    )
    assert more == f"uhd: more with `uhd pull`: {', '.join(KNOWN_MODELS)}"


def test_the_list_as_json_has_all_of_it(run: Callable[..., tuple[int, str, str]], models: Path, mine: Path) -> None:
    code, out, error = run("list", "--json")
    found = json.loads(out)
    assert (code, error) == (0, "")
    assert found["folder"] == str(models)
    assert [model["name"] for model in found["models"]] == ["uhd-tiny", "mine"]
    assert found["models"][1]["path"] == str(mine)
    assert found["models"][1]["origin"]["checkpoint"] == "me/mine"
    assert found["downloads"] == []
    assert found["to_pull"] == list(KNOWN_MODELS)


def test_a_removed_model_is_gone(run: Callable[..., tuple[int, str, str]], models: Path, mine: Path) -> None:
    code, out, _ = run("remove", "mine")
    assert code == 0
    assert out.startswith("mine: ")
    assert out.endswith(" MB freed\n")
    assert not mine.exists()
    code, _, error = run("remove", "mine")
    assert (code, error) == (1, "uhd: mine: no such model on this machine; there are uhd-tiny\n")


def test_a_model_that_is_here_is_not_pulled_again(
    run: Callable[..., tuple[int, str, str]], models: Path, mine: Path
) -> None:
    code, out, error = run("pull", "me/mine")
    assert (code, out) == (0, f"{mine}\n")
    # Advice for this processor may follow.
    assert error.splitlines()[:2] == [
        "uhd: mine is here already; --force pulls it anew",
        'uhd: ask it with: uhd ask photo.jpg "What is this?" --bundle mine',
    ]


def test_an_export_of_fp16_alone_says_what_that_means_on_a_cpu(
    run: Callable[..., tuple[int, str, str]], qwen3_checkpoint: Path, tmp_path: Path
) -> None:
    code, _, error = run(
        "export", str(qwen3_checkpoint), str(tmp_path / "half"), "--modes", "16x", "--precisions", "fp16"
    )
    assert code == 0, error
    assert "no FP32 graphs: a CPU runs the FP16 ones, which is slower" in error
    assert "adds INT8" not in error  # calibrating would refuse it
