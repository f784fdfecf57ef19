"""Quantizing a language model makes every type on the list and keeps the answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.export.logits import gguf_logits

from uhd_edge.export.language_model.llama_process import inspect_gguf
from uhd_edge.export.language_model.quantize import FILE_TYPES, file_type, name_of_type, quantize
from uhd_edge.runtime.errors import ExportError

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle


@pytest.mark.parametrize("name", [name for name in FILE_TYPES if name != "f32"])
def test_every_type_on_the_list_can_be_made_and_loaded(tmp_path: Path, name: str, qwen3_bundle: Bundle) -> None:
    # Rows of 64 and 100 are multiples of no k-quant's block, and of no block at all.
    target = tmp_path / "llm.gguf"
    quantize(qwen3_bundle.llm_path, target, name)
    facts = inspect_gguf(target, ["red"], name="it")
    assert name_of_type(facts.file_type) == name
    assert facts.tokens == inspect_gguf(qwen3_bundle.llm_path, ["red"], name="it").tokens
    assert target.stat().st_size < qwen3_bundle.llm_path.stat().st_size


def test_quantizing_keeps_the_answer(tmp_path: Path, qwen3_bundle: Bundle) -> None:
    quantize(qwen3_bundle.llm_path, tmp_path / "llm.gguf", "q8_0")
    ids = [70, 71, 72, 300, 301, 302]
    exact, rounded = gguf_logits(qwen3_bundle.llm_path, ids), gguf_logits(tmp_path / "llm.gguf", ids)
    cosine = (exact * rounded).sum() / np.linalg.norm(exact) / np.linalg.norm(rounded)
    assert 0.99 < cosine < 0.999999


def test_quantizing_takes_the_cores_that_this_process_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr("uhd_edge.export.language_model.quantize.usable_cores", lambda: 3)
    monkeypatch.setattr(
        "uhd_edge.export.language_model.quantize.run_worker", lambda *arguments, **_: given.extend(arguments)
    )
    quantize(tmp_path / "from.gguf", tmp_path / "to.gguf", "q8_0")
    assert given[-1] == "3"


def test_an_unknown_type_is_refused_with_the_list_of_valid_ones() -> None:
    with pytest.raises(ExportError, match=r"no language model type 'q9_9'; valid are f32, f16, bf16, q8_0, .*q4_k_m"):
        file_type("q9_9")
    assert file_type("Q4_K_M") is FILE_TYPES["q4_k_m"]
    assert name_of_type(None) == name_of_type(31) == "unknown"


def test_a_quantized_model_is_not_quantized_again(tmp_path: Path, qwen3_bundle: Bundle) -> None:
    quantize(qwen3_bundle.llm_path, tmp_path / "small.gguf", "q4_0")
    with pytest.raises(ExportError, match=r"cannot be quantized to q4_k_m: .*requantizing"):
        quantize(tmp_path / "small.gguf", tmp_path / "again.gguf", "q4_k_m")
