"""One list of known models serves every command that takes their names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.places import ROOT

from uhd_edge.bench.synthetic.bundle import MODELS, synthetic_bundle
from uhd_edge.cli.main import exit_code
from uhd_edge.export.pulling.choosing import wanted_model
from uhd_edge.runtime.bundles.known_models import KNOWN_MODELS
from uhd_edge.runtime.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", KNOWN_MODELS)
def test_a_known_model_is_known_to_every_command_that_takes_one(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UHD_MODELS", str(tmp_path))
    repository = KNOWN_MODELS[name].checkpoint
    for given in (name, name.upper(), f"{repository}/"):
        assert exit_code(["flops", "--model", given, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["model"] == name
        assert (wanted_model(given).name, wanted_model(given).checkpoint) == (name, repository)
    for command in ("flops", "pull"):
        assert exit_code([command, "--help"]) == 0
        assert name in capsys.readouterr().out.replace(",", " ").replace(".\n", " ").split()
    assert exit_code(["inspect", name]) == 1
    assert f"`uhd pull {name}` brings it" in capsys.readouterr().err


@pytest.mark.parametrize("name", KNOWN_MODELS)
def test_a_known_model_has_random_weights_or_is_too_large_for_them(name: str) -> None:
    if name in MODELS:
        assert MODELS[name].sizes == KNOWN_MODELS[name].sizes
        return
    with pytest.raises(ExportError, match=r"8 billion parameters.*valid are minicpm-v-4\.6, minicpm-v-4\.6-thinking, "):
        synthetic_bundle(name)


def test_the_page_about_real_models_has_all_that_are_known() -> None:
    page = (ROOT / "docs" / "real-model.md").read_text()
    listed = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `") and "huggingface.co" in line]
    assert listed == [*KNOWN_MODELS]
