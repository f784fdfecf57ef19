"""A tiny language model with random weights, of both kinds of positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.tiny_gguf import write_gguf

from uhd_edge.runtime.llm.language_model import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module", params=["qwen3", "qwen2vl"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain transformer, and one whose positions have sections (M-RoPE)."""
    return write_gguf(tmp_path_factory.mktemp("models") / "model.gguf", architecture=request.param)


@pytest.fixture
def model(path: Path) -> Iterator[LanguageModel]:
    with LanguageModel(path, threads=1, exact=True) as model:
        yield model
