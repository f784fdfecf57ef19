"""Checkpoints open as transformers saves them, and are refused in one line that says why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils.tqdm import are_progress_bars_disabled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from support.checkpoints import TinyCheckpoint, load_model, model_config, save_checkpoint
from transformers import AutoConfig, AutoTokenizer, MiniCPMV4_6ForConditionalGeneration, MiniCPMV4_6Model

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.checkpoint.config import read_model_config
from uhd_edge.export.checkpoint.tensors import expected_tensors
from uhd_edge.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = "model.safetensors"
FC1 = "model.vision_tower.encoder.layers.0.mlp.fc1.weight"


@pytest.fixture
def folder(qwen3_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint to change."""
    return shutil.copytree(qwen3_checkpoint, tmp_path / "checkpoint")


def change_json(file: Path, **changes: Any) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    for name, value in changes.items():
        *path, last = name.split("__")
        inner = content
        for part in path:
            inner = inner[part]
        inner[last] = value
    file.write_text(json.dumps(content))


def change_tensors(folder: Path, changes: dict[str, torch.Tensor | None]) -> None:
    tensors = {**load_file(folder / FILE), **changes}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, folder / FILE, metadata={"format": "pt"})


def refusal(folder: Path | str) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


# What is read


@pytest.mark.parametrize("fixture", ["qwen3_checkpoint", "hybrid_checkpoint"])
def test_names_and_tensors_are_those_of_the_model_in_transformers(fixture: str, request: pytest.FixtureRequest) -> None:
    source: Path = request.getfixturevalue(fixture)
    expected = dict(load_model(source).named_parameters())
    with open_checkpoint(source) as checkpoint:
        assert set(checkpoint.names) == set(expected)
        for name in checkpoint.names:
            assert torch.equal(checkpoint.tensor(name), expected[name])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attention_bias": True},
        {"layer_types": ["full_attention", "linear_attention", "linear_attention", "full_attention"]},
        {
            "linear_num_key_heads": 1,
            "linear_num_value_heads": 3,
            "linear_value_head_dim": 16,
            "linear_conv_kernel_dim": 3,
        },
        {"head_dim": 24, "num_key_value_heads": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("text_type", ["qwen3", "qwen3_5_text"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_expected_shapes_are_those_of_the_model_in_transformers(
    qwen3_checkpoint: Path, tmp_path: Path, text_type: str, tied: bool, changes: dict[str, Any]
) -> None:
    if text_type == "qwen3" and {"layer_types", "linear_num_key_heads"} & changes.keys():
        changes = {"intermediate_size": 40}  # the others are Qwen3.5's
    tokenizer = AutoTokenizer.from_pretrained(qwen3_checkpoint)
    config = model_config(TinyCheckpoint(text_type, tied=tied), tokenizer)
    for name, value in changes.items():
        setattr(config.text_config, name, value)
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        model = MiniCPMV4_6ForConditionalGeneration(AutoConfig.from_pretrained(tmp_path))
    theirs = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    if tied:
        theirs.pop("lm_head.weight", None)
    assert expected_tensors(read_model_config(tmp_path)) == theirs


def test_defaults_are_those_of_transformers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "minicpmv4_6", "vision_config": {}, "text_config": {"model_type": "qwen3_5_text"}})
    )
    theirs = AutoConfig.from_pretrained(tmp_path)
    ours = read_model_config(tmp_path)
    vision = theirs.vision_config
    assert (ours.tower.hidden, ours.tower.intermediate) == (vision.hidden_size, vision.intermediate_size)
    assert (ours.tower.layers, ours.tower.heads) == (vision.num_hidden_layers, vision.num_attention_heads)
    assert (ours.tower.patch, ours.tower.table_side) == (vision.patch_size, vision.image_size // vision.patch_size)
    assert (ours.tower.insert_layer, ours.tower.epsilon) == (vision.insert_layer_id, vision.layer_norm_eps)
    assert (ours.default_mode, ours.tied) == (theirs.downsample_mode, theirs.tie_word_embeddings)
    for name in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"):
        assert getattr(ours.text, name) == getattr(theirs.text_config, name)
    for name in ("num_key_value_heads", "head_dim", "linear_num_value_heads", "linear_num_key_heads"):
        assert getattr(ours.text, name) == getattr(theirs.text_config, name)
    assert [ours.text.is_linear(layer) for layer in range(ours.text.num_hidden_layers)] == [
        kind == "linear_attention" for kind in theirs.text_config.layer_types
    ]


def test_the_insertion_layer_of_the_whole_model_overrides_the_vision_towers(folder: Path) -> None:
    change_json(folder / "config.json", insert_layer_id=2, vision_config__insert_layer_id=0)
    assert AutoConfig.from_pretrained(folder).vision_config.insert_layer_id == 2
    assert open_checkpoint(folder).config.tower.insert_layer == 2


def test_weights_in_several_files_are_found_by_their_index(folder: Path, qwen3_checkpoint: Path) -> None:
    (folder / FILE).unlink()
    load_model(qwen3_checkpoint).save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    with open_checkpoint(folder) as split, open_checkpoint(qwen3_checkpoint) as whole:
        assert set(split.names) == set(whole.names)
        assert torch.equal(split.tensor(FC1), whole.tensor(FC1))


def test_a_model_saved_without_its_output_layer_has_the_same_names(folder: Path, qwen3_checkpoint: Path) -> None:
    (folder / FILE).unlink()
    MiniCPMV4_6Model.from_pretrained(qwen3_checkpoint).save_pretrained(folder)
    assert FC1 not in load_file(folder / FILE)
    with open_checkpoint(folder) as checkpoint, open_checkpoint(qwen3_checkpoint) as whole:
        assert set(checkpoint.names) == set(whole.names)
        assert torch.equal(checkpoint.tensor(FC1), whole.tensor(FC1))


def test_a_tied_output_layer_that_is_stored_nevertheless_is_left_out(folder: Path) -> None:
    change_tensors(folder, {"lm_head.weight": torch.zeros(480, 64)})
    assert "lm_head.weight" not in open_checkpoint(folder).names


def test_multi_token_prediction_is_left_out(folder: Path) -> None:
    change_tensors(folder, {"mtp.fc.weight": torch.zeros(2, 2), "model.mtp.norm.weight": torch.zeros(2)})
    assert not any("mtp" in name for name in open_checkpoint(folder).names)


def test_tensors_keep_their_type(tmp_path: Path) -> None:
    source = save_checkpoint(tmp_path / "bf16", TinyCheckpoint(vision_layers=2, dtype=torch.bfloat16))
    assert open_checkpoint(source).tensor(FC1).dtype == torch.bfloat16


def test_the_default_mode_is_the_checkpoints(folder: Path) -> None:
    change_json(folder / "config.json", downsample_mode="4x")
    assert open_checkpoint(folder).config.default_mode == "4x"


# Processor, tokens and template


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


# What is refused


@pytest.mark.parametrize("found", ["minicpmv4_7", "llava", "minicpmv", None, 3])
def test_another_architecture_is_refused_by_name(folder: Path, found: object) -> None:
    change_json(folder / "config.json", model_type=found)
    assert f"architecture {found!r} is not supported, only minicpmv4_6 is" in refusal(folder)


def test_another_text_model_is_refused_by_name(folder: Path) -> None:
    change_json(folder / "config.json", text_config__model_type="llama")
    assert "text model 'llama' is not supported, only qwen3_5_text and qwen3 are" in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"drop_vision_last_layer": True}, "drop_vision_last_layer: true is not supported"),
        ({"vision_config__window_kernel_size": [2, 4]}, r"window_kernel_size: [2, 4] is not supported"),
        ({"merge_kernel_size": [4, 4]}, r"merge_kernel_size: [4, 4] is not supported"),
        ({"merger_times": 2}, "merger_times: 2 is not supported, only 1 is"),
        ({"merger_times": 0}, "merger_times: Input should be greater than or equal to 1, found 0"),
        ({"vision_config__num_attention_heads": 5}, "5 heads do not divide hidden_size 48"),
        ({"insert_layer_id": 3}, "insert_layer_id: 3 is none of the 3 vision layers"),
        ({"insert_layer_id": -1}, "insert_layer_id: -1 is none of the 3 vision layers"),
        ({"vision_config__image_size": 13}, "image_size 13 is smaller than patch_size 14"),
        ({"vision_config__hidden_act": "relu"}, "vision_config.hidden_act"),
        ({"vision_config__num_channels": 4}, "vision_config.num_channels"),
        ({"vision_config__num_hidden_layers": 10**12}, "vision_config.num_hidden_layers"),
        ({"vision_config__hidden_size": "48"}, "vision_config.hidden_size"),
        ({"vision_config": None}, "vision_config"),
        ({"text_config": 3}, "text_config"),
        ({"text_config__layer_types": ["full_attention"]}, "names 1 layers of 4"),
        ({"text_config__use_sliding_window": True}, "text_config: use_sliding_window"),
        ({"downsample_mode": "64x"}, "downsample_mode"),
        ({"quantization_config": {"quant_method": "awq"}}, "a quantized checkpoint"),
    ],
    ids=str,
)
def test_a_configuration_that_is_not_reproduced_is_refused(folder: Path, changes: dict[str, Any], reason: str) -> None:
    change_json(folder / "config.json", **changes)
    message = refusal(folder)
    assert reason in message
    assert str(folder / "config.json") in message


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"patch_size": 16}, "cuts patches of 16, the vision tower reads 14"),
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


def test_missing_surplus_and_misshapen_tensors_are_listed_together(folder: Path) -> None:
    change_tensors(
        folder,
        {
            FC1: None,
            "model.language_model.norm.weight": None,
            "model.merger.extra": torch.zeros(1),
            "model.merger.mlp.0.linear_1.weight": torch.zeros(3, 5),
        },
    )
    message = refusal(folder)
    assert f"2 missing: model.language_model.norm.weight, {FC1}" in message
    assert "1 surplus: model.merger.extra" in message
    assert "1 misshapen: model.merger.mlp.0.linear_1.weight [3, 5] instead of [192, 192]" in message


def test_a_long_list_of_tensors_is_cut_and_counted(folder: Path) -> None:
    change_json(folder / "config.json", vision_config__num_hidden_layers=5)
    assert "32 missing: model.vision_tower.encoder.layers.3.layer_norm1.bias," in refusal(folder)
    assert refusal(folder).endswith("and 27 more")


def test_an_untied_output_layer_must_be_there(folder: Path) -> None:
    change_json(folder / "config.json", tie_word_embeddings=False, text_config__tie_word_embeddings=False)
    assert "1 missing: lm_head.weight" in refusal(folder)


def test_integer_tensors_are_refused(folder: Path) -> None:
    tensors = load_file(folder / FILE)
    change_tensors(folder, {FC1: tensors[FC1].to(torch.int8)})
    assert "tensors of type I8, only F32, F16, BF16 are read" in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, "", "{", "[1]", "null", "\xff", "[" * 100_000])
def test_a_missing_or_garbled_file_is_named(folder: Path, name: str, content: str | None) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content.encode("latin-1"))
    assert name in refusal(folder)


def test_weights_in_another_format_are_refused(folder: Path) -> None:
    (folder / FILE).rename(folder / "pytorch_model.bin")
    assert "neither model.safetensors nor model.safetensors.index.json is there" in refusal(folder)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ({"weight_map": {FC1: "model-1.safetensors"}}, "model-1.safetensors is missing"),
        ({"weight_map": {FC1: "../outside.safetensors"}}, "../outside.safetensors is missing"),
        ({"weight_map": {FC1: 3}}, "weight_map does not name files"),
        ({"weight_map": []}, "weight_map does not name files"),
        ({}, "weight_map does not name files"),
    ],
    ids=str,
)
def test_an_index_that_leads_nowhere_is_refused(folder: Path, index: object, reason: str) -> None:
    (folder.parent / "outside.safetensors").write_bytes((folder / FILE).read_bytes())
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert reason in refusal(folder)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_truncated_weight_file_is_refused_wherever_it_breaks_off(folder: Path, part: float) -> None:
    whole = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(whole[: int(part * len(whole))])
    try:
        assert f"{folder / FILE}: cannot be read" in refusal(folder)
    finally:
        (folder / FILE).write_bytes(whole)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_a_field_is_read_or_refused_in_one_line(folder: Path, data: st.DataObject) -> None:
    file = folder / data.draw(
        st.sampled_from(["config.json", "preprocessor_config.json", "tokenizer_config.json", "generation_config.json"])
    )
    before = file.read_bytes()
    content = json.loads(before)
    inner = content
    if file.name == "config.json":
        inner = data.draw(st.sampled_from([content, content["vision_config"], content["text_config"]]))
    inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(JSON)
    file.write_text(json.dumps(content))
    try:
        open_checkpoint(folder).close()
    except CheckpointError as error:
        assert "\n" not in str(error)  # noqa: PT017
    finally:
        file.write_bytes(before)


# Where it is looked for


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") == f"{tmp_path}/nowhere: no such checkpoint folder"


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-of-this-name/model/4", "a\0b"])
def test_a_name_that_no_folder_can_have_is_refused(name: str) -> None:
    assert refusal(name)


def test_a_file_is_no_checkpoint(folder: Path) -> None:
    assert "a checkpoint is a folder, this is a file" in refusal(folder / FILE)


def test_without_a_network_a_name_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    message = refusal("openbmb/MiniCPM-V-4.6")
    assert message.startswith("openbmb/MiniCPM-V-4.6: no such folder, and Hugging Face cannot be reached")


def test_a_name_is_taken_from_hugging_faces_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "cache" / "models--somebody--model"
    shutil.copytree(folder, repository / "snapshots" / "0123")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with open_checkpoint("somebody/model") as checkpoint:
        assert checkpoint.folder == repository / "snapshots" / "0123"


def test_a_closed_checkpoint_keeps_no_file_open(folder: Path) -> None:
    def mapped() -> bool:
        return str(folder / FILE) in Path("/proc/self/maps").read_text()

    with open_checkpoint(folder) as checkpoint:
        assert checkpoint.tensor(FC1).shape
        assert mapped()
    assert not mapped()


def fails_with(error: Exception) -> Callable[..., str]:
    def snapshot_download(*_: object, **__: object) -> str:
        raise error

    return snapshot_download


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (RepositoryNotFoundError, "neither a folder here nor a public name on Hugging Face"),
        (GatedRepoError, "its owner asks for consent"),
        (HfHubHTTPError, "Hugging Face cannot be reached"),
    ],
)
def test_what_hugging_face_answers_is_said_in_one_line(
    kind: type[HfHubHTTPError], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = kind("several\nlines", response=MagicMock())
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails_with(error))
    assert reason in refusal("somebody/model")


def test_progress_bars_stay_out_of_log_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[bool] = []

    def snapshot_download(*_: object, **__: object) -> str:
        shown.append(not are_progress_bars_disabled())
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    for terminal in (False, True):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        open_checkpoint("somebody/model").close()
    assert shown == [False, True]
    assert not are_progress_bars_disabled()
