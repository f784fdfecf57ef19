"""An export goes on from what one that was killed had finished, and from nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from uhd_edge.export.export import export_bundle
from uhd_edge.export.language_model.llama_process import GgufFacts
from uhd_edge.runtime.bundles.bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def exported(
    tmp_path: Path, quick: Any, qwen3_checkpoint: Path, qwen3_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Bundle, list[str]]]:
    """Export without the slow parts; returns the bundle, and which of these parts were done."""
    done: list[str] = []

    def convert(_: Any, target: Path, *, progress: Callable[[float], None], **__: Any) -> None:
        progress(0.0)
        done.append("language model")
        target.write_bytes(qwen3_bundle.llm_path.read_bytes())

    def write_graphs(*given: Any, precisions: list[str], **options: Any) -> Any:
        done.extend(precisions)
        return by_hand(*given, precisions=precisions, **options)

    from uhd_edge.export.graphs import graphs

    by_hand = graphs.write_graphs  # that of `quick`
    monkeypatch.setattr(graphs, "write_graphs", write_graphs)
    monkeypatch.setattr("uhd_edge.export.export.convert_language_model", convert)
    llm = qwen3_bundle.manifest.llm
    facts = GgufFacts(llm.architecture, None, llm.hidden_size, llm.vocabulary_size, 1, ())
    monkeypatch.setattr("uhd_edge.export.export.check_language_model", lambda *_, **__: facts)

    def run(source: Path = qwen3_checkpoint, **options: Any) -> tuple[Bundle, list[str]]:
        done.clear()
        return export_bundle(source, tmp_path / "bundle", **options), list(done)

    return run


@pytest.fixture
def killed(tmp_path: Path, exported: Any) -> Callable[..., Path]:
    """Leave what an export leaves that is killed when it says `stage`."""

    def run(stage: str, **options: Any) -> Path:
        kept = tmp_path / ".bundle.partial-killed"

        def copy_at(said: str, _: float) -> None:
            if said == stage:
                (running,) = tmp_path.glob(".bundle.partial-*")
                shutil.copytree(running, tmp_path / "copy")

        exported(progress=copy_at, **options)
        shutil.rmtree(tmp_path / "bundle")
        (tmp_path / "copy").rename(kept)
        return kept

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_finished_is_taken_over_and_the_bundle_is_the_same(tmp_path: Path, exported: Any, killed: Any) -> None:
    whole, everything = exported()
    expected = contents(whole.path)
    shutil.rmtree(whole.path)
    assert everything == ["language model", "fp32", "fp16"]
    for stage, left_to_do in (
        ("language model: converting", everything),
        ("language model: checking", ["fp32", "fp16"]),
        ("graphs: connector fp16", ["fp16"]),
        ("manifest", []),
    ):
        kept, said = killed(stage), []
        bundle, done = exported(tell=said.append)
        assert done == left_to_do
        assert contents(bundle.path) == expected
        assert len([line for line in said if "taken over from a run that was killed" in line]) == 3 - len(left_to_do)
        assert any(line.startswith(f"removed {kept} ") for line in said)
        assert list(tmp_path.iterdir()) == [bundle.path]
        shutil.rmtree(bundle.path)


def test_an_export_that_is_killed_while_it_goes_on_leaves_what_both_had_finished(exported: Any, killed: Any) -> None:
    killed("graphs: connector fp16")
    killed("language model: checking")
    assert exported()[1] == ["fp16"]


def test_a_damaged_file_is_made_again(exported: Any, killed: Any) -> None:
    kept = killed("manifest")
    file = kept / "graphs" / "encoder-16x-fp32.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    (kept / "llm.gguf").unlink()
    bundle, done = exported()
    assert done == ["language model", "fp32"]
    bundle.check_files()


@pytest.mark.parametrize(
    ("options", "done"),
    [
        ({"llm_type": "f32"}, ["language model"]),
        ({"modes": ["16x"]}, ["fp32", "fp16"]),
        ({"precisions": ["fp16"]}, []),
    ],
)
def test_what_was_made_with_other_settings_is_made_again_and_what_is_not_wanted_is_left_out(
    exported: Any, killed: Any, options: dict[str, Any], done: list[str]
) -> None:
    killed("manifest")
    bundle, was_done = exported(**options)
    assert was_done == done
    bundle.check_files()
    assert set(contents(bundle.path)) == {*bundle.manifest.files, "bundle.json"}
    assert ("graphs/encoder-16x-fp32.onnx" in bundle.manifest.files) == ("precisions" not in options)


def test_what_was_made_from_another_checkpoint_is_made_again(
    tmp_path: Path, exported: Any, killed: Any, qwen3_checkpoint: Path
) -> None:
    killed("manifest")
    other = tmp_path / "other"
    shutil.copytree(qwen3_checkpoint, other)
    (other / "notes.txt").write_text("trained for longer")
    assert exported(other, name="checkpoint")[1] == ["language model", "fp32", "fp16"]


def test_an_export_that_fails_leaves_nothing_to_go_on_from(tmp_path: Path, exported: Any) -> None:
    def fail(stage: str, _: float) -> None:
        if stage == "manifest":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exported(progress=fail)
    assert list(tmp_path.iterdir()) == []
