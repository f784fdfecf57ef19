"""Exporting a bundle: everything or nothing under the target's name."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.checkpoints import TinyCheckpoint, load_processor, save_checkpoint
from transformers import AutoConfig, GenerationConfig

from uhd_edge.export import bundle_writer, disk_space, export
from uhd_edge.export.bundle_writer import BundleWriter
from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.export import EXPORTED_PRECISIONS, export_bundle
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import CheckpointError, ExportError, ModelError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.export.checkpoint.checkpoint import Checkpoint


def graphs_by_hand(checkpoint: Checkpoint, folder: Path, *, modes: Any, precisions: Any, progress: Any) -> Any:
    """In place of the real graphs, whose own tests are elsewhere: small files under the same names."""
    (folder / "graphs").mkdir()
    written: dict[str, dict[str, dict[str, str]]] = {mode: {} for mode in modes}
    for precision in precisions:
        progress(f"connector {precision}")
        (folder / "graphs" / f"connector-{precision}.onnx").write_text(precision)
        for mode in modes:
            progress(f"encoder {mode} {precision}")
            (folder / "graphs" / f"encoder-{mode}-{precision}.onnx").write_text(mode + precision)
            written[mode][precision] = {
                "encoder": f"graphs/encoder-{mode}-{precision}.onnx",
                "connector": f"graphs/connector-{precision}.onnx",
            }
    return written


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, qwen3_checkpoint: Path, qwen3_bundle: Bundle) -> Callable[..., Bundle]:
    """Export the plain checkpoint with a ready language model, without the real graphs."""
    monkeypatch.setattr("uhd_edge.export.graphs.graphs.write_graphs", graphs_by_hand)

    def run(target: Path, **options: Any) -> Bundle:
        return export_bundle(qwen3_checkpoint, target, **{"llm": qwen3_bundle.llm_path, **options})

    return run


def one_line(caught: pytest.ExceptionInfo[BaseException]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("text_type", ["qwen3", "hybrid"])
def test_an_exported_bundle_says_what_transformers_reads_from_the_checkpoint(
    text_type: str, request: pytest.FixtureRequest
) -> None:
    checkpoint: Path = request.getfixturevalue(f"{text_type}_checkpoint")
    bundle: Bundle = request.getfixturevalue(f"{text_type}_bundle")
    bundle.verify()
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
    Bundle.open(tmp_path / "deep" / "in" / "bundle").verify()


def test_progress_runs_from_nothing_to_everything(tmp_path: Path, quick: Any) -> None:
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
def test_an_unknown_choice_is_answered_with_the_valid_ones(
    tmp_path: Path, quick: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ExportError) as caught:
        quick(tmp_path / "bundle", **options)
    assert said in one_line(caught)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_target_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine.txt").touch()
    with pytest.raises(OutputError, match="exists already; choose another name, or overwrite it with --force"):
        export_bundle("no/such/checkpoint", tmp_path / "bundle")
    with pytest.raises(OutputError, match="is not a bundle and is not overwritten"):
        export_bundle("no/such/checkpoint", tmp_path / "bundle", overwrite=True)
    with pytest.raises(OutputError, match="exists and is not a folder"):
        export_bundle("no/such/checkpoint", tmp_path / "bundle" / "mine.txt", overwrite=True)
    assert [entry.name for entry in tmp_path.rglob("*")] == ["bundle", "mine.txt"]


def test_an_empty_folder_may_become_the_bundle(tmp_path: Path, quick: Any) -> None:
    (tmp_path / "bundle").mkdir()
    quick(tmp_path / "bundle").verify()


def test_a_bundle_is_replaced_on_request_and_only_by_a_whole_one(tmp_path: Path, quick: Any) -> None:
    target = tmp_path / "bundle"
    quick(target, name="old")

    def break_off(stage: str, _: float) -> None:
        if stage.startswith("graphs: encoder 4x fp16"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(target, name="new", overwrite=True, progress=break_off)
    assert Bundle.open(target).manifest.name == "old"
    quick(target, name="new", overwrite=True, modes=["16x"])
    assert Bundle.open(target).manifest.name == "new"
    Bundle.open(target).verify()
    assert not (target / "graphs" / "encoder-4x-fp32.onnx").exists()
    assert list(tmp_path.iterdir()) == [target]


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


def run_python(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


KILLED = """
import os, signal, sys
from pathlib import Path
from uhd_edge.export.bundle_writer import BundleWriter
with BundleWriter(Path(sys.argv[1])) as writer:
    (writer.folder / "llm.gguf").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_export_leaves_no_bundle_and_the_next_one_cleans_up(tmp_path: Path, quick: Any) -> None:
    target = tmp_path / "bundle[1]"
    assert run_python(KILLED, target).returncode == -signal.SIGKILL
    (leftover,) = tmp_path.iterdir()
    assert (leftover / "llm.gguf").exists()
    assert not target.exists()
    (tmp_path / ".other.partial-1").mkdir()
    quick(target).verify()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".other.partial-1", "bundle[1]"]


def test_an_export_that_still_runs_is_not_cleaned_up(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "bundle") as first:
        with BundleWriter(tmp_path / "bundle") as second:
            assert first.folder.exists()
            assert second.folder != first.folder
        assert not second.folder.exists()
        assert first.folder.exists()


KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
from uhd_edge.export.bundle_writer import BundleWriter
from uhd_edge.runtime.bundles.bundle import Bundle

rename = Path.rename
def rename_until_the_target(path, name):
    if Path(name) == target:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, name)

target = Path(sys.argv[1])
Path.rename = rename_until_the_target
old = Bundle.open(target)
with BundleWriter(target, overwrite=True) as writer:
    for name in old.manifest.files:
        (writer.folder / name).parent.mkdir(exist_ok=True)
        writer.copy(target / name, name)
    writer.finish(old.manifest)
"""


def test_an_old_bundle_survives_a_kill_between_the_two_renames_of_its_replacement(tmp_path: Path, quick: Any) -> None:
    target = tmp_path / "bundle"
    quick(target, name="old")
    done = run_python(KILLED_BETWEEN, target)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not target.exists()
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(OutputError, match="exists already"):
        quick(target, name="new")
    assert Bundle.open(target).manifest.name == "old"
    Bundle.open(target).verify()
    quick(target, name="new", overwrite=True)
    assert Bundle.open(target).manifest.name == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_the_old_bundle_of_an_export_that_still_runs_is_left_to_it(tmp_path: Path, quick: Any) -> None:
    target = tmp_path / "bundle"
    with BundleWriter(target) as running:
        old = running.folder.with_name(running.folder.name + bundle_writer.REPLACED)
        old.mkdir()
        with BundleWriter(target):
            assert old.exists()
            assert not target.exists()
    quick(target, overwrite=True).verify()
    assert list(tmp_path.iterdir()) == [target]


def test_an_interrupt_between_the_two_renames_puts_the_old_bundle_back(
    tmp_path: Path, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "bundle"
    quick(target, name="old")
    rename = Path.rename

    def interrupt_the_second(path: Path, name: Path) -> Path:
        if name == target and not path.name.endswith(bundle_writer.REPLACED):
            raise KeyboardInterrupt
        return rename(path, name)

    monkeypatch.setattr(Path, "rename", interrupt_the_second)
    with pytest.raises(KeyboardInterrupt):
        quick(target, name="new", overwrite=True)
    assert Bundle.open(target).manifest.name == "old"
    assert list(tmp_path.iterdir()) == [target]


LIMITED = """
import resource, sys
from pathlib import Path
from uhd_edge.export.bundle_writer import BundleWriter
from uhd_edge.runtime.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with BundleWriter(Path(sys.argv[1])) as writer:
        writer.copy(Path(sys.argv[2]), "llm.gguf")
except OutputError as error:
    print(error)
"""


def test_a_file_over_the_limit_is_told_in_one_line(tmp_path: Path, qwen3_bundle: Bundle) -> None:
    done = run_python(LIMITED, tmp_path / "bundle", qwen3_bundle.llm_path)
    assert done.stdout.splitlines() == [
        f"{tmp_path / 'bundle'}: a file is larger than the limit; raise it (ulimit -f) and export again"
    ], done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [(errno.ENOSPC, "no space left on the disk"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only")],
)
def test_a_disk_that_fills_up_is_told_in_one_line(
    tmp_path: Path, quick: Any, monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(bundle_writer, "_to_disk", refuse)
    with pytest.raises(OutputError) as caught:
        quick(tmp_path / "made" / "bundle")
    assert said in one_line(caught)
    assert str(tmp_path / "made" / "bundle") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_under_the_graphs_is_told_with_the_targets_name(
    tmp_path: Path, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OutputError("somewhere") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("uhd_edge.export.graphs.graphs.write_graphs", full)
    with pytest.raises(OutputError, match=r"/bundle: no space left on the disk"):
        quick(tmp_path / "bundle")


def test_a_read_error_of_somebody_elses_file_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), BundleWriter(tmp_path / "bundle") as writer:
        writer.copy(tmp_path / "missing", "llm.gguf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["file/bundle", "file/deep/bundle", "x" * 300, "/proc/nothing/bundle"])
def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as caught:
        export_bundle("no/such/checkpoint", tmp_path / target)
    assert "choose" in one_line(caught)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("ready", [True, False])
def test_too_little_space_is_told_before_the_work_begins(
    tmp_path: Path, quick: Any, qwen3_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, ready: bool
) -> None:
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100_000})())
    with pytest.raises(OutputError, match=r"needs about \d+\.\d MB, 0\.1 MB are free"):
        quick(tmp_path / "bundle", llm=qwen3_bundle.llm_path if ready else None)
    assert list(tmp_path.iterdir()) == []


def test_the_space_asked_for_is_about_what_is_used(qwen3_checkpoint: Path, qwen3_bundle: Bundle) -> None:
    used = sum(record.bytes for record in qwen3_bundle.manifest.files.values())
    with open_checkpoint(qwen3_checkpoint) as checkpoint:
        precisions = EXPORTED_PRECISIONS
        assert disk_space.bytes_to_copy(checkpoint, qwen3_bundle.llm_path, precisions) == pytest.approx(used, rel=0.2)
        # Two copies of the text model, which is small, against the graphs.
        assert disk_space.bytes_to_convert(checkpoint, "f32", precisions) == pytest.approx(used, rel=0.2)


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
