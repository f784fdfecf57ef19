"""Token embeddings looked up by us against `gguf`'s own conversion and llama.cpp's own look-up."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest
from support.tiny_gguf import HIDDEN, embedding_table, tokens, write_gguf

from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.llama_library import llama_library
from uhd_edge.runtime.llm.llama_loading import ModelFacts
from uhd_edge.runtime.llm.token_embeddings import TO_FLOAT, open_token_embeddings

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.llm.chunks import PromptChunk

VOCABULARY, WIDTH = 40, 512
TEXT = "<|im_start|>user\nhello, wörld<|im_end|>\n"


def facts(width: int, *, canvas: bool = False) -> ModelFacts:
    return ModelFacts("qwen3", width, 0, has_mrope=canvas, has_canvas=canvas, is_recurrent=False)


def write_table(path: Path, stored: np.ndarray, kind: gguf.GGMLQuantizationType, name: str) -> Path:
    writer = gguf.GGUFWriter(str(path), "qwen3")
    writer.add_tensor("before.weight", np.zeros(7, np.float32))
    writer.add_tensor(name, stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", [0, *TO_FLOAT])
def test_rows_of_every_type_equal_gguf_s_own_conversion(kind: int, tmp_path: Path) -> None:
    quantization = gguf.GGMLQuantizationType(kind)
    block, size = gguf.GGML_QUANT_SIZES[quantization]
    random = np.random.default_rng(kind)
    stored = random.integers(0, 256, (VOCABULARY, WIDTH // block * size), dtype=np.uint8)
    path = write_table(tmp_path / "table.gguf", stored, quantization, "token_embd.weight")
    table = open_token_embeddings(path, facts(WIDTH), vocabulary_size=VOCABULARY)
    assert table is not None
    wanted = [3, 0, 39, 3]
    with np.errstate(all="ignore"):  # random bytes make some scales NaN
        expected = gguf.quants.dequantize(stored[wanted], quantization)
        found = table.rows(wanted)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_table_in_another_part_of_a_split_file_is_left_to_llama_cpp(tmp_path: Path) -> None:
    stored = np.zeros((VOCABULARY, WIDTH * 4), np.uint8)
    path = write_table(tmp_path / "part.gguf", stored, gguf.GGMLQuantizationType.F32, "output.weight")
    assert open_token_embeddings(path, facts(WIDTH), vocabulary_size=VOCABULARY) is None


def test_a_type_without_a_converter_is_left_to_llama_cpp(tmp_path: Path) -> None:
    stored = np.zeros((VOCABULARY, WIDTH), np.uint8)
    path = write_table(tmp_path / "table.gguf", stored, gguf.GGMLQuantizationType.I8, "token_embd.weight")
    assert open_token_embeddings(path, facts(WIDTH), vocabulary_size=VOCABULARY) is None
    with pytest.raises(ModelError, match="convert the language model to another type with --llm-type"):
        open_token_embeddings(path, facts(WIDTH, canvas=True), vocabulary_size=VOCABULARY)


@pytest.mark.parametrize("file_type", ["LLAMA_FTYPE_MOSTLY_F16", "LLAMA_FTYPE_MOSTLY_Q8_0", "LLAMA_FTYPE_MOSTLY_Q4_0"])
def test_a_quantized_model_gives_the_logits_of_the_ids(file_type: str, tmp_path: Path) -> None:
    library = llama_library()
    source, path = write_gguf(tmp_path / "f32.gguf"), tmp_path / "quantized.gguf"
    parameters = library.api.llama_model_quantize_default_params()
    parameters.ftype = getattr(library.api, file_type)
    assert library.api.llama_model_quantize(os.fsencode(source), os.fsencode(path), ctypes.byref(parameters)) == 0
    with LanguageModel(path, threads=1, exact=True) as model:
        ids = model.vocabulary.tokenize(TEXT)
        table = open_token_embeddings(path, facts(HIDDEN), vocabulary_size=len(tokens()))
        assert table is not None
        assert np.abs(table.rows(ids) - embedding_table()[ids]).max() < 0.5
        model.prefill([model.vocabulary.tokenize(TEXT)])
        expected = model.logits()
        model.clear()
        model.prefill([table.rows(ids)])
        assert np.array_equal(model.logits(), expected)


@pytest.mark.parametrize("gone", ["module", "function"])
def test_without_llama_cpp_pythons_private_library_text_goes_in_as_ids(
    gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    with LanguageModel(path, threads=1, exact=True) as model:
        prompt = [model.vocabulary.tokenize("<image>"), embedding_table()[:16], model.vocabulary.tokenize("</image>a")]
        model.prefill(prompt)
        expected = model.logits()
    library = type("Library", (), {"libggml": object()}) if gone == "function" else None
    monkeypatch.setitem(sys.modules, "llama_cpp._ggml", library)
    with LanguageModel(path, threads=1, exact=True) as model:
        assert model._table is None
        model.prefill(prompt)
        np.testing.assert_allclose(model.logits(), expected, atol=1e-4)


def test_text_between_images_does_not_cost_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LanguageModel(write_gguf(tmp_path / "model.gguf"), threads=1) as model:
        sizes: list[int] = []
        decode_part = model._decode

        def decode(part: PromptChunk, *more: Any, **how: Any) -> None:
            sizes.append(len(part))
            decode_part(part, *more, **how)

        monkeypatch.setattr(model, "_decode", decode)
        view = embedding_table()[:16]
        before, between, after = map(model.vocabulary.tokenize, ("<image>", "</image><slice>", "</slice>a"))
        model.prefill([before, view, between, view, after])
        assert sizes == [37]
