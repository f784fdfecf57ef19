"""A converted language model has the logits of transformers, and one that does not fit its checkpoint is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.checkpoints import TinyCheckpoint, save_checkpoint
from support.export.logits import PROMPT, gguf_logits, reference_logits
from support.tiny_gguf import write_gguf
from transformers import AutoTokenizer

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.language_model.conversion import check_language_model, convert_language_model
from uhd_edge.export.language_model.llama_process import inspect_gguf
from uhd_edge.export.language_model.quantize import name_of_type
from uhd_edge.export.language_model.tokenizer_check import load_tokenizer, probes
from uhd_edge.runtime.errors import CheckpointError, ExportError, ModelError, UhdError

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle


def refusal(kind: type[UhdError], file: Path, checkpoint: Path) -> str:
    with open_checkpoint(checkpoint) as opened, pytest.raises(kind) as caught:
        check_language_model(file, opened, name=str(file))
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("text_type", ["qwen3", "hybrid"])
def test_the_converted_model_has_the_logits_of_transformers(text_type: str, request: pytest.FixtureRequest) -> None:
    checkpoint: Path = request.getfixturevalue(f"{text_type}_checkpoint")
    bundle: Bundle = request.getfixturevalue(f"{text_type}_bundle")
    ids = AutoTokenizer.from_pretrained(checkpoint)(PROMPT).input_ids
    expected = reference_logits(checkpoint, ids)
    assert expected.std() > 1  # spread enough for a difference to show
    np.testing.assert_allclose(gguf_logits(bundle.llm_path, ids), expected, atol=1e-3)


def test_a_ready_model_of_the_checkpoint_is_accepted(qwen3_checkpoint: Path, qwen3_bundle: Bundle) -> None:
    with open_checkpoint(qwen3_checkpoint) as checkpoint:
        facts = check_language_model(qwen3_bundle.llm_path, checkpoint, name="it")
    assert (facts.architecture, facts.hidden_size, facts.vocabulary_size) == ("qwen3", 64, 480)


def test_a_model_of_another_width_is_refused(tmp_path: Path, qwen3_bundle: Bundle) -> None:
    narrow = save_checkpoint(tmp_path / "narrow", TinyCheckpoint(text_hidden=32, text_layers=1))
    message = refusal(ModelError, qwen3_bundle.llm_path, narrow)
    assert "takes embeddings of width 64, but the checkpoint's connector makes 32" in message


def test_a_model_with_other_special_tokens_is_refused(tmp_path: Path, qwen3_bundle: Bundle) -> None:
    other = save_checkpoint(tmp_path / "other", TinyCheckpoint(vocabulary=470, text_layers=1))
    message = refusal(ModelError, qwen3_bundle.llm_path, other)
    assert "</image> is token 465 there, but token 455 in the checkpoint" in message


def test_a_model_that_splits_text_differently_is_refused(
    tmp_path: Path, qwen3_checkpoint: Path, qwen3_bundle: Bundle
) -> None:
    data = qwen3_bundle.llm_path.read_bytes()
    key = data.index(b"tokenizer.ggml.pre")
    name = data.index(b"qwen2", key)
    (tmp_path / "other.gguf").write_bytes(data[:name] + b"gpt-2" + data[name + 5 :])
    message = refusal(ExportError, tmp_path / "other.gguf", qwen3_checkpoint)
    assert "splits text differently" in message
    assert "--tokenizer-pre" in message
    (tmp_path / "none.gguf").write_bytes(data[:name] + b"gpt-9" + data[name + 5 :])
    message = refusal(ExportError, tmp_path / "none.gguf", qwen3_checkpoint)
    assert "unknown pre-tokenizer type: 'gpt-9'" in message
    assert "--tokenizer-pre" in message


@pytest.mark.parametrize("kept", [0, 3, 20, 5_000, 0.5, -1])
def test_a_truncated_model_is_refused(
    tmp_path: Path, kept: float, qwen3_checkpoint: Path, qwen3_bundle: Bundle
) -> None:
    data = qwen3_bundle.llm_path.read_bytes()
    file = tmp_path / "cut.gguf"
    file.write_bytes(data[: int(kept * len(data)) if 0 < kept < 1 else int(kept)])
    assert "not a language model that llama.cpp can load" in refusal(ModelError, file, qwen3_checkpoint)


@pytest.mark.parametrize("seed", range(6))
def test_garbage_is_refused(tmp_path: Path, seed: int, qwen3_checkpoint: Path) -> None:
    noise = np.random.default_rng(seed).bytes(10_000)
    file = tmp_path / "noise.gguf"
    file.write_bytes((b"GGUF\x03\0\0\0" if seed % 2 else b"") + noise)
    assert "not a language model that llama.cpp can load" in refusal(ModelError, file, qwen3_checkpoint)


def test_a_missing_model_or_a_folder_is_refused(tmp_path: Path, qwen3_checkpoint: Path) -> None:
    assert "no such file" in refusal(ModelError, tmp_path / "nothing.gguf", qwen3_checkpoint)
    assert "no such file" in refusal(ModelError, tmp_path, qwen3_checkpoint)


def test_one_part_of_a_split_model_is_refused(
    tmp_path: Path, qwen3_checkpoint: Path, qwen3_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = inspect_gguf(
        qwen3_bundle.llm_path, [probe.text for probe in probes(load_tokenizer(qwen3_checkpoint))], name="it"
    )
    assert whole.parts == 1
    from dataclasses import replace

    monkeypatch.setattr(
        "uhd_edge.export.language_model.conversion.inspect_gguf", lambda *_, **__: replace(whole, parts=3)
    )
    assert "one of 3 parts" in refusal(ModelError, qwen3_bundle.llm_path, qwen3_checkpoint)


def test_an_unknown_tokenizer_needs_its_pre_tokenizers_name(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "checkpoint", TinyCheckpoint(text_layers=1))
    tokenizer = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(tokenizer.replace(r"'ll|'d)|", r"'ll|'d|'q)|"))
    with open_checkpoint(folder) as checkpoint:
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
        target = tmp_path / "llm.gguf"
        with pytest.raises(ExportError, match=r"does not know the checkpoint's tokenizer; .*--tokenizer-pre"):
            convert_language_model(
                checkpoint,
                target,
                llm_type="f16",
                tokenizer_pre=None,
                scratch=tmp_path / "first",
                progress=lambda _: None,
            )
        convert_language_model(
            checkpoint,
            target,
            llm_type="q5_k_m",
            tokenizer_pre="qwen2",
            scratch=tmp_path / "second",
            progress=lambda _: None,
        )
        facts = check_language_model(target, checkpoint, name="it")
    assert name_of_type(facts.file_type) == "q5_k_m"


def test_a_ready_model_with_weights_that_are_not_numbers_is_refused(tmp_path: Path, qwen3_checkpoint: Path) -> None:
    broken = write_gguf(tmp_path / "broken.gguf", weight=float("nan"))
    assert "has invalid data" in refusal(ModelError, broken, qwen3_checkpoint)


def test_a_tokenizer_with_more_tokens_than_the_table_is_refused_before_the_conversion(
    tmp_path: Path, qwen3_checkpoint: Path
) -> None:
    folder = shutil.copytree(qwen3_checkpoint, tmp_path / "checkpoint")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"<extra_{number}>" for number in range(480 - len(tokenizer) + 2)])
    tokenizer.save_pretrained(folder)
    (tmp_path / "scratch").mkdir()
    with open_checkpoint(folder) as checkpoint, pytest.raises(CheckpointError) as caught:
        convert_language_model(
            checkpoint,
            tmp_path / "llm.gguf",
            llm_type="f32",
            tokenizer_pre=None,
            scratch=tmp_path / "scratch",
            progress=lambda _: None,
        )
    assert "2 tokens have no row in the embedding table of 480, the first is '<extra_" in str(caught.value)
    assert "resize_token_embeddings" in str(caught.value)
    assert not any((tmp_path / "scratch").iterdir())
