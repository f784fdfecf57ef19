"""With how many threads a model reads and generates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uhd_edge.bench.synthetic.random_llm import RandomLanguageModel, write_random_llm
from uhd_edge.engines.threads import usable_cores
from uhd_edge.runtime.llm import llama_loading
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.llama_library import LlamaLibrary

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def threads_of(path: Path, threads: int | None = None) -> tuple[int, int]:
    """With how many threads a model generates, and with how many it reads a prompt."""
    with LanguageModel(path, threads=threads) as model:
        return model._api.llama_n_threads(model._shared.handle), model._api.llama_n_threads_batch(model._shared.handle)


def test_a_tiny_model_reads_long_prompts_with_all_cores_and_generates_with_one(path: Path) -> None:
    assert threads_of(path) == (1, usable_cores())


def test_a_model_of_useful_size_generates_with_all_cores(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    write_random_llm(file, RandomLanguageModel(hidden=256, intermediate=2048, layers=1))
    assert threads_of(file) == (usable_cores(), usable_cores())


def test_threads_that_were_asked_for_are_used_throughout(path: Path) -> None:
    assert threads_of(path, threads=3) == (3, 3)


def test_a_tiny_model_reads_few_tokens_with_one_thread_and_more_with_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_loading, "usable_cores", lambda: 2)
    file = tmp_path / "model.gguf"
    write_random_llm(file, RandomLanguageModel(hidden=128, intermediate=1024, layers=1))
    used: list[int] = []
    call = LlamaLibrary.call
    with LanguageModel(file) as model:
        api, context, few = model._api, model._shared.handle, model._shared.few_tokens
        assert 20 < few < 200

        def watched(library: LlamaLibrary, function: Any, *arguments: Any, **options: Any) -> Any:
            if function is api.llama_decode:
                used.append(api.llama_n_threads_batch(context))
            return call(library, function, *arguments, **options)

        monkeypatch.setattr(LlamaLibrary, "call", watched)
        for count in (2, few, few + 1, 3):
            model.clear()
            model.prefill([[5] * count])
    assert used == [1, 1, 2, 1]


def test_fewer_tokens_are_few_where_a_layer_is_larger(tmp_path: Path) -> None:
    few = []
    for hidden in (64, 128):
        file = tmp_path / f"{hidden}.gguf"
        write_random_llm(file, RandomLanguageModel(hidden=hidden, intermediate=1024, layers=2))
        with LanguageModel(file, threads=1) as model:
            few.append(model._shared.few_tokens)
    assert few[0] > 1.5 * few[1]
