"""A GGUF with layers that guess tokens ahead (multi-token prediction), as Qwen3.5's may have, and one of such alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.export.logits import PROMPT, gguf_logits
from transformers import AutoTokenizer

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.language_model.conversion import check_language_model
from uhd_edge.export.language_model.converter import converter_folder
from uhd_edge.export.language_model.llama_process import run_worker
from uhd_edge.export.language_model.text_checkpoint import write_text_checkpoint
from uhd_edge.runtime.errors import ExportError, ModelError
from uhd_edge.runtime.memory.gguf_sizes import read_gguf_sizes

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle

ATTENTION = "model.layers.3."  # a layer like the one that guesses


@pytest.fixture(scope="module")
def text_model(hybrid_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text model of the tiny hybrid, with one more layer under the names that Qwen3.5's checkpoints have for it."""
    folder = tmp_path_factory.mktemp("guessing") / "text"
    with open_checkpoint(hybrid_checkpoint) as checkpoint:
        config = {**checkpoint.config.text_config, "mtp_num_hidden_layers": 1}
        write_text_checkpoint(hybrid_checkpoint, checkpoint, config, folder)
    (shard,) = folder.glob("*.safetensors")
    tensors = load_file(shard)
    norm = tensors["model.norm.weight"]
    guessing = {f"mtp.layers.0.{name.removeprefix(ATTENTION)}": t for name, t in tensors.items() if ATTENTION in name}
    guessing |= {f"mtp.{name}.weight": norm for name in ("norm", "pre_fc_norm_embedding", "pre_fc_norm_hidden")}
    guessing["mtp.fc.weight"] = torch.ones(len(norm), 2 * len(norm))
    save_file(tensors | {name: tensor.clone() for name, tensor in guessing.items()}, shard, metadata={"format": "pt"})
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"] |= dict.fromkeys(guessing, shard.name)
    index.write_text(json.dumps(content))
    return folder


def converted(text_model: Path, file: Path, *options: str) -> Path:
    """What llama.cpp's own converter makes of it."""
    arguments = ("convert", str(converter_folder()), "qwen35", str(text_model))
    run_worker(*arguments, "--outfile", str(file), "--outtype", "f32", *options, error=ExportError, folder=file.parent)
    return file


def numbers(file: Path) -> tuple[int, int]:
    fields = gguf.GGUFReader(file).fields
    return fields["qwen35.block_count"].contents(), fields["qwen35.nextn_predict_layers"].contents()


def test_a_model_with_such_a_layer_answers_as_without_it(
    text_model: Path, tmp_path: Path, hybrid_checkpoint: Path, hybrid_bundle: Bundle
) -> None:
    file = converted(text_model, tmp_path / "guessing.gguf")
    assert numbers(file) == (5, 1)
    with open_checkpoint(hybrid_checkpoint) as checkpoint:
        assert check_language_model(file, checkpoint, name="it").architecture == "qwen35"
    ids = AutoTokenizer.from_pretrained(hybrid_checkpoint)(PROMPT).input_ids
    assert np.array_equal(gguf_logits(file, ids), gguf_logits(hybrid_bundle.llm_path, ids))
    sizes, plain = read_gguf_sizes(file), read_gguf_sizes(hybrid_bundle.llm_path)
    assert (sizes.layers, sizes.attention_layers) == (plain.layers, plain.attention_layers)
    assert (sizes.cache_numbers, sizes.recurrent_numbers) == (plain.cache_numbers, plain.recurrent_numbers)
    assert sizes.bytes_by_type == pytest.approx(plain.bytes_by_type, abs=10_000)  # the header of more tensors


def test_such_a_layer_alone_is_refused_because_llama_cpp_would_crash(
    text_model: Path, tmp_path: Path, hybrid_checkpoint: Path
) -> None:
    file = converted(text_model, tmp_path / "mtp-tiny.gguf", "--mtp")
    assert numbers(file) == (5, 1)
    with open_checkpoint(hybrid_checkpoint) as checkpoint, pytest.raises(ModelError) as caught:
        check_language_model(file, checkpoint, name="it")
    assert "it: has only layers that guess tokens ahead" in str(caught.value)
    assert "take the language model itself" in str(caught.value)
