"""When a bundle's language model is taken for what the bundle says, and when it is looked at first."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from support.answering_bundle import bundle_of, save

from uhd_edge.cli import main as cli
from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm import gguf_header
from uhd_edge.runtime.llm.opening import open_language_model

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return save(bundle_of(tmp_path / "bundle"))


def name_a_token_twice(bundle: Bundle, *, longer: bytes = b"") -> None:
    """llama.cpp would abort the process on such a file."""
    data = bundle.llm_path.read_bytes()
    assert data.count(b"</image>") == 1
    bundle.llm_path.write_bytes(data.replace(b"</image>", b"</slice>") + longer)


def test_the_vocabulary_of_an_unchanged_file_is_not_read_at_every_start(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_header, "repeated_token", lambda _: pytest.fail("read the vocabulary for nothing"))
    open_language_model(bundle, context=64, threads=1).close()


def test_a_language_model_of_another_length_is_looked_at_first(bundle: Bundle) -> None:
    name_a_token_twice(bundle, longer=b"more")
    with pytest.raises(ModelError, match="has the token '</slice>' twice"):
        open_language_model(bundle, context=64, threads=1)


def test_a_language_model_that_nobody_recorded_is_looked_at_first(bundle: Bundle) -> None:
    name_a_token_twice(bundle)
    unrecorded = dataclasses.replace(bundle, manifest=bundle.manifest.model_copy(update={"files": {}}))
    with pytest.raises(ModelError, match="has the token '</slice>' twice"):
        open_language_model(unrecorded, context=64, threads=1)


def test_inspect_finds_a_language_model_that_was_changed_in_place(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.exit_code(["inspect", str(bundle.path)]) == 0
    name_a_token_twice(bundle)
    assert cli.exit_code(["inspect", str(bundle.path)]) == 1
    assert "changed since it was written: llm.gguf" in capsys.readouterr().err
    save(bundle)  # a manifest that goes with the damaged file
    assert cli.exit_code(["inspect", str(bundle.path)]) == 1
    assert "has the token '</slice>' twice" in capsys.readouterr().err
