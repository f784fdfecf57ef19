"""Preprocessing, prompt tokens and chat template are those of the processor in transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.export.changed_checkpoint import change_json, refusal
from transformers import AutoTokenizer

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint


def test_preprocessing_and_tokens_are_those_of_the_processor_in_transformers(qwen3_checkpoint: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(qwen3_checkpoint)
    processor = open_checkpoint(qwen3_checkpoint).processor
    assert processor.prompt.chat_template == tokenizer.chat_template
    assert processor.prompt.eos_token == tokenizer.eos_token
    for field, text in processor.prompt.tokens.model_dump().items():
        assert text == getattr(tokenizer, f"{field}_token")
    settings_file = json.loads((qwen3_checkpoint / "preprocessor_config.json").read_text())
    assert processor.preprocessing.scale_resolution == settings_file["scale_resolution"]
    assert processor.preprocessing.max_slices == settings_file["max_slice_nums"]
    assert processor.preprocessing.mean == tuple(settings_file["image_mean"])
    assert processor.preprocessing.rescale_factor == settings_file["rescale_factor"]
    assert processor.preprocessing.resample == settings_file["resample"]


def test_defaults_of_the_image_processor_are_those_of_transformers(folder: Path) -> None:
    from transformers import MiniCPMV4_6ImageProcessorPil

    (folder / "preprocessor_config.json").write_text("{}")
    theirs, ours = MiniCPMV4_6ImageProcessorPil(), open_checkpoint(folder).processor.preprocessing
    assert (ours.scale_resolution, ours.max_slices) == (theirs.scale_resolution, theirs.max_slice_nums)
    assert (ours.patch_size, ours.slicing, ours.resample) == (theirs.patch_size, theirs.slice_mode, theirs.resample)
    assert (ours.mean, ours.std) == (tuple(theirs.image_mean), tuple(theirs.image_std))
    assert ours.rescale_factor == theirs.rescale_factor


def test_the_unified_processor_file_of_newer_transformers_goes_first(folder: Path) -> None:
    nested = json.loads((folder / "preprocessor_config.json").read_text()) | {"max_slice_nums": 5, "image_mean": 0.25}
    change_json(folder / "processor_config.json", image_processor=nested)
    preprocessing = open_checkpoint(folder).processor.preprocessing
    assert (preprocessing.max_slices, preprocessing.mean) == (5, (0.25, 0.25, 0.25))
    (folder / "preprocessor_config.json").unlink()
    assert open_checkpoint(folder).processor.preprocessing.max_slices == 5


def test_a_processor_as_transformers_saves_it_is_read(folder: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    before = open_checkpoint(folder).processor
    for name in ("tokenizer_config.json", "tokenizer.json", "chat_template.jinja"):
        (folder / name).unlink()
    tokenizer.save_pretrained(folder)
    assert open_checkpoint(folder).processor == before


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("chat_template.json", {"chat_template": "FOUND"}),
        ("processor_config.json", {"chat_template": "FOUND"}),
        ("tokenizer_config.json", {"chat_template": "FOUND"}),
        (
            "tokenizer_config.json",
            {"chat_template": [{"name": "x", "template": "OTHER"}, {"name": "default", "template": "FOUND"}]},
        ),
    ],
)
def test_the_chat_template_is_found_where_older_versions_put_it(
    folder: Path, file: str, content: dict[str, Any]
) -> None:
    (folder / "chat_template.jinja").unlink()
    change_json(folder / file, **content)
    assert open_checkpoint(folder).processor.prompt.chat_template == "FOUND"


def test_special_tokens_may_be_objects_or_stand_in_a_group(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    image = config.pop("image_token")
    config["extra_special_tokens"] = {"image_token": image}
    config["slice_start_token"] = {"content": config["slice_start_token"], "special": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    tokens = open_checkpoint(folder).processor.prompt.tokens
    assert (tokens.image, tokens.slice_start) == ("<|image_pad|>", "<slice>")


def test_answers_stop_where_transformers_stops_and_at_the_tokenizers_own_end(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    own = tokenizer.convert_tokens_to_ids(tokenizer.eos_token)
    assert open_checkpoint(folder).processor.prompt.stop_ids == (own, tokenizer.pad_token_id)
    change_json(folder / "generation_config.json", eos_token_id=7)
    assert open_checkpoint(folder).processor.prompt.stop_ids == (7, own)
    (folder / "generation_config.json").unlink()
    change_json(folder / "config.json", text_config__eos_token_id=[8, 9])
    assert open_checkpoint(folder).processor.prompt.stop_ids == (8, 9, own)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"patch_size": 16}, "has patch_size 16, but the vision tower has 14"),
        ({"do_normalize": False}, "do_normalize"),
        ({"do_rescale": False}, "do_rescale"),
        ({"image_mean": [0.5, 0.5]}, "image_mean"),
        ({"image_std": 0}, "image_std.0: Input should be greater than 0, found 0"),
        ({"image_mean": float("nan")}, "image_mean.0: Input should be a finite number"),
        ({"scale_resolution": 10**9}, "scale_resolution"),
        ({"resample": 9}, "resample"),
        ({"max_slice_nums": 0}, "max_slice_nums"),
    ],
    ids=str,
)
def test_an_image_processor_that_is_not_reproduced_is_refused(
    folder: Path, changes: dict[str, Any], reason: str
) -> None:
    change_json(folder / "preprocessor_config.json", **changes)
    assert reason in refusal(folder)
