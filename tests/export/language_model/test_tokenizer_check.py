"""The texts that show whether llama.cpp tokenizes like the checkpoint's tokenizer."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from uhd_edge.export.language_model import tokenizer_check
from uhd_edge.export.language_model.tokenizer_check import load_tokenizer, pre_tokenizer_name, probes
from uhd_edge.runtime.errors import CheckpointError


def test_the_probe_texts_are_in_nfc() -> None:
    assert all(unicodedata.is_normalized("NFC", text) for text in tokenizer_check.PROBES)


def test_the_probe_holds_every_special_token(qwen3_checkpoint: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(qwen3_checkpoint)
    found = probes(load_tokenizer(qwen3_checkpoint))
    alone = {probe.text: probe.ids for probe in found if probe.special}
    assert {"<|im_end|>", "<image>", "</slice>", "<|image_pad|>", "<think>"} <= alone.keys()
    assert all(ids == (tokenizer.convert_tokens_to_ids(text),) for text, ids in alone.items())
    for probe in found:
        assert list(probe.ids) == tokenizer(probe.text).input_ids


def test_pre_tokenizers_are_recognized_by_what_they_split_at(
    tmp_path: Path, qwen3_checkpoint: Path, hybrid_checkpoint: Path
) -> None:
    assert pre_tokenizer_name(qwen3_checkpoint) == "qwen2"
    assert pre_tokenizer_name(hybrid_checkpoint) == "qwen35"
    text = (qwen3_checkpoint / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(text.replace(r"\\p{N}", r"\\p{N}{1,3}"))
    assert pre_tokenizer_name(tmp_path) is None


def test_a_broken_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is missing"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a tokenizer"):
        load_tokenizer(tmp_path)
