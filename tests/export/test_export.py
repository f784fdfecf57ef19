"""An exported bundle says what the checkpoint says, and an export that fails leaves nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import TinyCheckpoint, load_processor, save_checkpoint
from support.export.outcome import one_line
from transformers import AutoConfig, GenerationConfig

from uhd_edge.export import export
from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import CheckpointError, ExportError, ModelError


@pytest.mark.parametrize("text_type", ["qwen3", "hybrid"])
def test_an_exported_bundle_says_what_transformers_reads_from_the_checkpoint(
    text_type: str, request: pytest.FixtureRequest
) -> None:
    checkpoint: Path = request.getfixturevalue(f"{text_type}_checkpoint")
    bundle: Bundle = request.getfixturevalue(f"{text_type}_bundle")
    bundle.check_files()
    assert Bundle.open(bundle.path) == bundle
    manifest, config, processor = bundle.manifest, AutoConfig.from_pretrained(checkpoint), load_processor(checkpoint)
    images = processor.image_processor
    assert manifest.vision.hidden_size == config.vision_config.hidden_size
    assert manifest.vision.layers == config.vision_config.num_hidden_layers
    assert manifest.vision.insert_layer == config.insert_layer_id
    assert manifest.vision.table_side == config.vision_config.image_size // config.vision_config.patch_size
    assert [manifest.vision.window] * 2 == list(config.vision_config.window_kernel_size)
    assert [manifest.vision.merge] * 2 == list(config.merge_kernel_size)
    assert manifest.vision.merge_rounds == config.merger_times
    assert manifest.default_mode == config.downsample_mode
    assert manifest.preprocessing.scale_resolution == images.scale_resolution
    assert manifest.preprocessing.max_slices == images.max_slice_nums
    assert list(manifest.preprocessing.mean) == list(images.image_mean)
    assert manifest.prompt.chat_template == processor.chat_template
    assert manifest.prompt.normalization == "NFC"
    assert manifest.prompt.tokens.image == processor.image_token
    assert manifest.prompt.tokens.slice_end == processor.slice_end_token
    assert set(manifest.prompt.stop_ids) == set(GenerationConfig.from_pretrained(checkpoint).eos_token_id)
    assert manifest.llm.hidden_size == config.text_config.hidden_size
    assert manifest.llm.vocabulary_size == config.text_config.vocab_size
    assert manifest.llm.architecture == {"qwen3": "qwen3", "hybrid": "qwen35"}[text_type]
    assert manifest.llm.type == "f32"


def test_a_bundle_holds_its_files_and_nothing_else(qwen3_bundle: Bundle) -> None:
    files = {str(file.relative_to(qwen3_bundle.path)) for file in qwen3_bundle.path.rglob("*") if file.is_file()}
    assert files == {"bundle.json", *qwen3_bundle.manifest.files}
    assert [entry.name for entry in qwen3_bundle.path.parent.iterdir()] == [qwen3_bundle.path.name]
    assert qwen3_bundle.describe_graphs() == "16x (fp32, fp16), 4x (fp32, fp16)"


def test_a_ready_language_model_is_copied_as_it_is(tmp_path: Path, quick: Any, qwen3_bundle: Bundle) -> None:
    bundle = quick(tmp_path / "deep" / "in" / "bundle", modes=["4x"], precisions=["fp32"], name="mine")
    assert bundle.llm_path.read_bytes() == qwen3_bundle.llm_path.read_bytes()
    assert bundle.manifest.llm == qwen3_bundle.manifest.llm
    assert bundle.manifest.name == "mine"
    assert bundle.manifest.default_mode == "4x"
    assert bundle.describe_graphs() == "4x (fp32)"
    Bundle.open(tmp_path / "deep" / "in" / "bundle").check_files()


def test_progress_runs_from_0_to_1(tmp_path: Path, quick: Any) -> None:
    seen: list[tuple[str, float]] = []
    quick(tmp_path / "bundle", progress=lambda stage, fraction: seen.append((stage, fraction)))
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert [stage for stage, _ in seen if "graphs" in stage] == [
        "graphs: connector fp32",
        "graphs: encoder 16x fp32",
        "graphs: encoder 4x fp32",
        "graphs: connector fp16",
        "graphs: encoder 16x fp16",
        "graphs: encoder 4x fp16",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"modes": ["8x"]}, "no mode '8x'; valid are 16x, 4x"),
        ({"modes": []}, "no mode given"),
        ({"precisions": ["fp32", "int8"]}, "no precision 'int8'; valid are fp32, fp16"),
        ({"llm": None, "llm_type": "q4"}, "no language model type 'q4'; valid are f32,"),
    ],
)
def test_an_unknown_choice_is_refused_with_the_list_of_valid_ones(
    tmp_path: Path, quick: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ExportError) as caught:
        quick(tmp_path / "bundle", **options)
    assert said in one_line(caught)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["checkpoint", "language model: checking", "graphs: encoder 16x fp16", "manifest"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_whatever_ends_an_export_early_leaves_nothing(
    tmp_path: Path, quick: Any, stage: str, error: type[BaseException]
) -> None:
    def break_off(now: str, _: float) -> None:
        if now == stage:
            raise error

    with pytest.raises(error):
        quick(tmp_path / "made" / "bundle", progress=break_off)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_checkpoint_or_language_model_leaves_nothing(tmp_path: Path, quick: Any, qwen3_bundle: Bundle) -> None:
    with pytest.raises(CheckpointError):
        export_bundle(tmp_path / "nothing", tmp_path / "bundle")
    (tmp_path / "cut.gguf").write_bytes(qwen3_bundle.llm_path.read_bytes()[:-1])
    with pytest.raises(ModelError):
        quick(tmp_path / "bundle", llm=tmp_path / "cut.gguf")
    assert [entry.name for entry in tmp_path.iterdir()] == ["cut.gguf"]


def test_the_end_of_a_turn_ends_an_answer_whatever_the_configuration_says(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "checkpoint", TinyCheckpoint(text_layers=1))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["eos_token"] = "<|endoftext|>"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 459}))
    with open_checkpoint(folder) as checkpoint:
        assert checkpoint.processor.prompt.stop_ids == (459,)
        assert export._prompt(checkpoint).stop_ids == (459, 461)


def test_a_prompt_token_that_the_tokenizer_lacks_is_named(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "checkpoint", TinyCheckpoint(text_layers=1))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["slice_end_token"] = "</tile>"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="the tokenizer has no token </tile>"):
        export_bundle(folder, tmp_path / "bundle")
