"""A Hub on this machine with a tiny model and its language model, and a models' folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.pulling.local_hub import GGUF, LANGUAGE_MODEL, MODEL, LocalHub, running_hub

from uhd_edge.export.bundle_writer import BundleWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.bundles.bundle import Bundle


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where models are kept."""
    monkeypatch.setenv("UHD_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def empty_hub(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A Hub without repositories, which is asked without pauses."""
    monkeypatch.setattr("uhd_edge.export.pulling.hub.PAUSES", (0.0, 0.0))
    monkeypatch.setattr("uhd_edge.export.pulling.download.PAUSES", (0.0, 0.0))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def hub(empty_hub: LocalHub, tmp_path: Path, qwen3_checkpoint: Path, qwen3_bundle: Bundle) -> LocalHub:
    """A Hub with the plain tiny checkpoint and its language model in a repository beside it."""
    files = tmp_path / "gguf"
    files.mkdir()
    (files / GGUF).write_bytes(qwen3_bundle.llm_path.read_bytes())
    for other in ("mmproj-model-f16.gguf", f"mtp-{GGUF}"):
        (files / other).write_bytes(b"GGUF, and never needed")
    empty_hub.add(MODEL, qwen3_checkpoint)
    empty_hub.add(LANGUAGE_MODEL, files)
    return empty_hub


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, qwen3_bundle: Bundle) -> list[dict[str, Any]]:
    """Exports without their work: the bundle that comes out is `qwen3_bundle`. Returns what they were asked for."""
    asked: list[dict[str, Any]] = []

    def export_bundle(source: Path, target: Path, *, name: str, overwrite: bool, **options: Any) -> Bundle:
        asked.append({"files": sorted(file.name for file in source.iterdir()), "name": name, **options})
        manifest = qwen3_bundle.manifest.model_copy(update={"name": name, "origin": options["origin"]})
        with BundleWriter(target, overwrite=overwrite) as writer:
            (writer.folder / "graphs").mkdir()
            for file in manifest.files:
                writer.copy(qwen3_bundle.path / file, file)
            return writer.finish(manifest)

    monkeypatch.setattr("uhd_edge.export.pulling.pull.export_bundle", export_bundle)
    return asked
