"""With how many threads a model reads and generates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.bench.synthetic.random_llm import RandomLanguageModel, write_random_llm
from uhd_edge.engines.threads import usable_cores
from uhd_edge.runtime.llm.language_model import LanguageModel

if TYPE_CHECKING:
    from pathlib import Path


def threads_of(path: Path, threads: int | None = None) -> tuple[int, int]:
    """With how many threads a model generates, and with how many it reads a prompt."""
    with LanguageModel(path, threads=threads) as model:
        return model._api.llama_n_threads(model._shared.handle), model._api.llama_n_threads_batch(model._shared.handle)


def test_a_tiny_model_reads_with_all_cores_and_generates_with_one(path: Path) -> None:
    assert threads_of(path) == (1, usable_cores())


def test_a_model_of_useful_size_generates_with_all_cores(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    write_random_llm(file, RandomLanguageModel(hidden=256, intermediate=2048, layers=1))
    assert threads_of(file) == (usable_cores(), usable_cores())


def test_threads_that_were_asked_for_are_used_throughout(path: Path) -> None:
    assert threads_of(path, threads=3) == (3, 3)
