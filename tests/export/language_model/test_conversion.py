"""The language model's export: the same logits as transformers, the same tokens, or one clear line."""

from __future__ import annotations

import ctypes
import os
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.checkpoints import TinyCheckpoint, load_model, save_checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.language_model import llama_process, tokenizer_check
from uhd_edge.export.language_model.conversion import check_language_model, convert_language_model
from uhd_edge.export.language_model.llama_process import inspect_gguf
from uhd_edge.export.language_model.quantize import FILE_TYPES, file_type, name_of_type, quantize
from uhd_edge.export.language_model.text_checkpoint import write_text_checkpoint
from uhd_edge.export.language_model.tokenizer_check import load_tokenizer, pre_tokenizer_name, probes
from uhd_edge.runtime.errors import CheckpointError, ExportError, ModelError, OutputError, UhdError
from uhd_edge.runtime.llm.llama_library import llama_library

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle

PROMPT = "<|im_start|>user\n<image>What is the code on the red circle?</image> हिन्दी<|im_end|>\n"


def gguf_logits(file: Path, ids: list[int]) -> NDArray[np.float32]:
    """Logits of every position by llama.cpp, in FP32 throughout."""
    llama_cpp = llama_library().api
    parameters = llama_cpp.llama_model_default_params()
    parameters.use_extra_bufts = False
    parameters.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(str(file).encode(), parameters)
    context_parameters = llama_cpp.llama_context_default_params()
    context_parameters.n_ctx = context_parameters.n_batch = context_parameters.n_ubatch = 128
    context_parameters.n_threads = context_parameters.n_threads_batch = 1
    context_parameters.type_k = context_parameters.type_v = 0  # GGML_TYPE_F32
    context_parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, context_parameters)
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for place, token in enumerate(ids):
        batch.token[place], batch.pos[place], batch.logits[place] = token, place, 1
        batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
    assert llama_cpp.llama_decode(context, batch) == 0
    width = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    rows = [
        np.ctypeslib.as_array(
            ctypes.cast(llama_cpp.llama_get_logits_ith(context, place), ctypes.POINTER(ctypes.c_float)), (width,)
        ).copy()
        for place in range(len(ids))
    ]
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return np.stack(rows)


def reference_logits(checkpoint: Path, ids: list[int]) -> NDArray[np.float32]:
    with torch.no_grad():
        logits: NDArray[np.float32] = load_model(checkpoint)(input_ids=torch.tensor([ids])).logits[0].numpy()
    return logits


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


@pytest.mark.parametrize(("text_type", "tied"), [("qwen3", True), ("qwen3", False), ("qwen3_5_text", False)])
def test_the_text_model_alone_is_what_it_was_inside(tmp_path: Path, text_type: str, tied: bool) -> None:
    tiny = TinyCheckpoint(text_type, tied=tied, text_layers=4 if text_type == "qwen3_5_text" else 2)  # type: ignore[arg-type]
    folder = save_checkpoint(tmp_path / "checkpoint", tiny)
    with open_checkpoint(folder) as checkpoint:
        write_text_checkpoint(folder, checkpoint, checkpoint.config.text_config, tmp_path / "text", shard_bytes=100_000)
    assert len(list((tmp_path / "text").glob("model-*-of-*.safetensors"))) > 1
    ids = AutoTokenizer.from_pretrained(tmp_path / "text")(PROMPT).input_ids
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "text", dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(logits, reference_logits(folder, ids), atol=1e-5)


def test_tensors_keep_their_precision(tmp_path: Path) -> None:
    from safetensors import safe_open

    folder = save_checkpoint(tmp_path / "checkpoint", TinyCheckpoint(text_layers=1, dtype=torch.bfloat16))
    with open_checkpoint(folder) as checkpoint:
        write_text_checkpoint(folder, checkpoint, checkpoint.config.text_config, tmp_path / "text")
    (shard,) = (tmp_path / "text").glob("*.safetensors")
    with safe_open(shard, "pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"BF16"}  # noqa: SIM118


def test_a_text_model_that_cannot_be_converted_is_named(tmp_path: Path) -> None:
    class Nothing:
        names = ()

        def tensor(self, name: str) -> torch.Tensor:
            raise KeyError(name)

    with pytest.raises(CheckpointError, match=r"'llama' cannot be converted, only qwen3, qwen3_5_text; .*--llm"):
        write_text_checkpoint(tmp_path, Nothing(), {"model_type": "llama"}, tmp_path / "text")


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


def test_an_unknown_type_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ExportError, match=r"no language model type 'q9_9'; valid are f32, f16, bf16, q8_0, .*q4_k_m"):
        file_type("q9_9")
    assert file_type("Q4_K_M") is FILE_TYPES["q4_k_m"]
    assert name_of_type(None) == name_of_type(31) == "unknown"


def test_a_quantized_model_is_not_quantized_again(tmp_path: Path, qwen3_bundle: Bundle) -> None:
    quantize(qwen3_bundle.llm_path, tmp_path / "small.gguf", "q4_0")
    with pytest.raises(ExportError, match=r"cannot be quantized to q4_k_m: .*requantizing"):
        quantize(tmp_path / "small.gguf", tmp_path / "again.gguf", "q4_k_m")


def test_the_probe_is_composed_text() -> None:
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


def test_a_ready_model_of_the_checkpoint_is_accepted(qwen3_checkpoint: Path, qwen3_bundle: Bundle) -> None:
    with open_checkpoint(qwen3_checkpoint) as checkpoint:
        facts = check_language_model(qwen3_bundle.llm_path, checkpoint, name="it")
    assert (facts.architecture, facts.hidden_size, facts.vocabulary_size) == ("qwen3", 64, 480)


def test_a_model_of_another_width_is_refused(tmp_path: Path, qwen3_bundle: Bundle) -> None:
    narrow = save_checkpoint(tmp_path / "narrow", TinyCheckpoint(text_hidden=32, text_layers=1))
    message = refusal(ModelError, qwen3_bundle.llm_path, narrow)
    assert "takes embeddings of width 64, the checkpoint's connector makes 32" in message


def test_a_model_with_other_special_tokens_is_refused(tmp_path: Path, qwen3_bundle: Bundle) -> None:
    other = save_checkpoint(tmp_path / "other", TinyCheckpoint(vocabulary=470, text_layers=1))
    message = refusal(ModelError, qwen3_bundle.llm_path, other)
    assert "</image> is token 465 there and token 455 in the checkpoint" in message


def test_a_model_that_splits_text_differently_is_refused(
    tmp_path: Path, qwen3_checkpoint: Path, qwen3_bundle: Bundle
) -> None:
    data = qwen3_bundle.llm_path.read_bytes()
    key = data.index(b"tokenizer.ggml.pre")
    name = data.index(b"qwen2", key)
    (tmp_path / "other.gguf").write_bytes(data[:name] + b"gpt-2" + data[name + 5 :])
    message = refusal(ExportError, tmp_path / "other.gguf", qwen3_checkpoint)
    assert "text is split differently" in message
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


def pretend_llama_cpp(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process that runs llama.cpp be a shell script."""
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setattr(llama_process.sys, "executable", str(file))


def test_a_crash_of_llama_cpp_becomes_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_llama_cpp(tmp_path, "echo 'GGML_ASSERT(n > 0) failed' >&2; kill -ABRT $$", monkeypatch)
    (tmp_path / "llm.gguf").touch()
    with pytest.raises(ModelError, match=r"ended by SIGABRT: GGML_ASSERT\(n > 0\) failed$"):
        inspect_gguf(tmp_path / "llm.gguf", [], name="it")


def test_a_disk_that_fills_up_under_llama_cpp_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_llama_cpp(tmp_path, "echo 'OSError: [Errno 28] No space left on device' >&2; exit 1", monkeypatch)
    with pytest.raises(OutputError, match="no space left on the disk"):
        quantize(tmp_path / "from.gguf", tmp_path / "to.gguf", "q8_0")


def test_an_interrupted_export_takes_llama_cpp_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_llama_cpp(
        tmp_path, f"echo $$ > {tmp_path}/started; mv {tmp_path}/started {tmp_path}/pid; exec sleep 1000", monkeypatch
    )

    def interrupt() -> None:
        if (tmp_path / "pid").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(tmp_path / "from.gguf", tmp_path / "to.gguf", "q8_0", watch=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


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
