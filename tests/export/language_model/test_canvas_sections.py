"""A GGUF's header is told where time is, and nothing else in the file changes."""

from __future__ import annotations

import shutil
from pathlib import Path
from struct import pack
from typing import TYPE_CHECKING

import gguf
import pytest
from parity.conversations import Reference, picture
from support.checkpoints import TinyCheckpoint, load_model, save_checkpoint
from support.export.changed_checkpoint import change_json, refusal
from support.tiny_gguf import write_gguf

from uhd_edge.export.export import export_bundle
from uhd_edge.export.language_model.canvas_sections import move_time_to_fourth
from uhd_edge.runtime import Assistant
from uhd_edge.runtime.errors import CheckpointError, ModelError
from uhd_edge.runtime.llm.gguf_header import find_sections

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle


def sections(file: Path) -> list[int]:
    field = gguf.GGUFReader(file).fields["qwen35.rope.dimension_sections"]
    return [int(number) for number in field.contents()]


@pytest.fixture
def official(tmp_path: Path, canvas_bundle: Bundle) -> Path:
    """A language model as its makers give it: with time in the first section."""
    file = tmp_path / "official.gguf"
    data = canvas_bundle.llm_path.read_bytes()
    ours, theirs = pack("<4i", 0, 3, 2, 3), pack("<4i", 3, 3, 2, 0)
    assert data.count(ours) == 1
    file.write_bytes(data.replace(ours, theirs))
    return file


def test_time_moves_from_the_first_section_to_the_fourth(official: Path, canvas_bundle: Bundle) -> None:
    assert sections(official) == [3, 3, 2, 0]
    for _ in range(2):  # a second time changes nothing
        move_time_to_fourth(official, name="it")
        assert sections(official) == [0, 3, 2, 3]
        assert official.read_bytes() == canvas_bundle.llm_path.read_bytes()


@pytest.mark.parametrize("time", [3, 0])
def test_a_key_that_says_the_same_to_newer_versions_of_llama_cpp_no_longer_counts(tmp_path: Path, time: int) -> None:
    file = tmp_path / "newer.gguf"
    writer = gguf.GGUFWriter(file, "qwen35")
    writer.add_array("qwen35.rope.dimension_sections", [time, 3, 2, 3 - time])
    writer.add_uint32("qwen35.rope.mrope_time_slot", 3)
    writer.add_uint32("qwen35.context_length", 64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    before = file.read_bytes()
    for _ in range(2):
        move_time_to_fourth(file, name="it")
        fields = gguf.GGUFReader(file).fields
        assert sections(file) == [0, 3, 2, 3]
        assert "qwen35.rope.mrope_time_slot" not in fields
        assert int(fields["qwen35.context_length"].contents()) == 64
    assert len(file.read_bytes()) == len(before)


@pytest.mark.parametrize("kind", ["no sections", "other sections", "no GGUF"])
def test_other_files_are_refused(tmp_path: Path, official: Path, kind: str) -> None:
    file = tmp_path / "other.gguf"
    if kind == "no sections":
        write_gguf(file)
    elif kind == "other sections":
        file.write_bytes(official.read_bytes().replace(pack("<4i", 3, 3, 2, 0), pack("<4i", 3, 3, 2, 1)))
    else:
        file.write_bytes(b"GGUF and then something else")
    before = file.read_bytes()
    with pytest.raises(ModelError, match=r"^it: .*rope.dimension_sections"):
        move_time_to_fourth(file, name="it")
    assert file.read_bytes() == before
    assert kind == "other sections" or find_sections(file) is None


def test_an_official_model_is_changed_on_its_way_into_the_bundle_alone(
    tmp_path: Path, official: Path, canvas_checkpoint: Path, canvas_bundle: Bundle
) -> None:
    before = official.read_bytes()
    bundle = export_bundle(canvas_checkpoint, tmp_path / "bundle", llm=official, precisions=["fp32"], modes=["16x"])
    assert official.read_bytes() == before
    assert bundle.llm_path.read_bytes() == canvas_bundle.llm_path.read_bytes()
    assert bundle.manifest.architecture == "minicpmv4_7"
    bundle.check_files()


def test_a_bundle_with_the_unchanged_model_is_refused(tmp_path: Path, official: Path, canvas_bundle: Bundle) -> None:
    copy = Path(shutil.copytree(canvas_bundle.path, tmp_path / "copy"))
    shutil.copyfile(official, copy / "llm.gguf")
    with pytest.raises(ModelError, match="has no positions on a canvas, but the bundle was made with them"):
        Assistant(copy)


def test_a_text_model_without_room_for_positions_in_the_plane_is_refused(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "checkpoint", TinyCheckpoint("qwen3", version="4_7", text_layers=1))
    assert "text model 'qwen3' is not supported; only qwen3_5_text is" in refusal(folder)
    asked = Reference(folder).inputs([("user", [picture(0, 90, 60), "What?"])], "16x", 1)
    with pytest.raises(RuntimeError):  # nor can transformers give the tokens of a picture such positions
        load_model(folder)(**asked, downsample_mode="16x")


def test_the_ids_of_the_tokens_around_views_must_be_those_of_the_tokenizer(
    tmp_path: Path, canvas_checkpoint: Path
) -> None:
    folder = Path(shutil.copytree(canvas_checkpoint, tmp_path / "checkpoint"))
    change_json(folder / "config.json", slice_end_id=3)
    with pytest.raises(CheckpointError, match=r"slice_end_id is 3, but '</slice>' is token \d+; take the tokenizer"):
        export_bundle(folder, tmp_path / "bundle", llm_type="f32")
    change_json(folder / "config.json", slice_end_id=None)
    assert "slice_end_id is missing" in refusal(folder)
