"""`auto` uses no TensorRT engine that was not compared with FP32 on this GPU."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.vision.built_engines import PICTURE, Told, build, with_int8

from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.engines.tensorrt.gpu import Gpu
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Manifest
from uhd_edge.runtime.checking.verify import verify_bundle
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.verdicts import kept

if TYPE_CHECKING:
    from pathlib import Path


def opened(bundle: Bundle, **options: Any) -> tuple[str, list[str]]:
    """What runs 16x, and the notes."""
    with VisionEncoder(bundle, threads=1, **options) as encoder:
        return encoder.open_mode("16x").encoder.provider, encoder.notes


@pytest.fixture
def harm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call it with what the pretended engines do to their outputs."""
    run = OnnxRuntimeEngine.run

    def begin(change: Any) -> None:
        def harmed(engine: Any, inputs: Any) -> Any:
            outputs = run(engine, inputs)
            return {n: change(v) for n, v in outputs.items()} if engine.provider == "pretended" else outputs

        monkeypatch.setattr(OnnxRuntimeEngine, "run", harmed)

    return begin


def shifted(values: np.ndarray) -> np.ndarray:
    return np.roll(values, 1, axis=-1)


def out_of_memory(values: np.ndarray) -> np.ndarray:
    raise EngineError("out of memory")


def broken(values: np.ndarray) -> np.ndarray:
    return np.full_like(values, np.nan)


def test_an_engine_is_compared_before_its_first_use_and_once(bundle: Bundle, machine: type[Told]) -> None:
    build(bundle)
    provider, notes = opened(bundle)
    assert provider == "pretended"
    (note,) = notes
    assert note.startswith("16x: fp16 on pretended was compared with FP32 before its first use: cosine 1.00000")
    assert opened(bundle) == ("pretended", [])


def test_on_another_gpu_and_after_a_rebuild_it_is_compared_again(
    bundle: Bundle, machine: type[Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, _ = build(bundle)
    opened(bundle)
    monkeypatch.setattr(kept, "first_gpu", lambda: Gpu("another", "8.9"))
    assert "before its first use" in opened(bundle)[1][0]
    assert opened(bundle)[1] == []
    record = encoder.with_name("encoder-fp16.engine.json")
    record.write_text(record.read_text().replace(json.loads(record.read_text())["engine"]["sha256"], "0" * 64))
    provider, notes = opened(bundle)
    assert provider == "CPUExecutionProvider"
    assert "is damaged" in notes[0]


@pytest.mark.parametrize(
    ("change", "reason"), [(shifted, "differs too much from FP32 in 16x"), (broken, "returned NaN or Inf")]
)
def test_an_engine_that_is_not_exact_is_not_used_by_auto_now_or_later(
    bundle: Bundle, machine: type[Told], harm: Any, change: Any, reason: str
) -> None:
    build(bundle)
    harm(change)
    provider, (note, instead) = opened(bundle)
    assert provider == "CPUExecutionProvider"
    assert reason in note
    assert instead == "16x runs in fp32 on CPUExecutionProvider instead"
    provider, (note, _) = opened(bundle)
    assert provider == "CPUExecutionProvider"
    assert "differed too much from FP32 in 16x on this GPU" in note
    assert f"uhd verify {bundle.path} IMAGE --engine tensorrt-rtx --precision fp16" in note
    assert opened(bundle, engine="tensorrt-rtx") == ("pretended", [])  # who asks for it gets it


def test_an_engine_that_failed_is_compared_again_at_the_next_start(
    bundle: Bundle, machine: type[Told], harm: Any
) -> None:
    build(bundle)
    harm(out_of_memory)
    for _ in range(2):
        provider, (note, _) = opened(bundle)
        assert provider == "CPUExecutionProvider"
        assert "could not be compared with FP32 (out of memory); that is tried again at the next start" in note
    assert kept.read_verdicts(bundle) == ()
    harm(lambda values: values)
    assert opened(bundle)[0] == "pretended"


def test_a_reference_that_returns_nan_is_not_held_against_the_engine(
    bundle: Bundle, machine: type[Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(bundle)
    run = OnnxRuntimeEngine.run

    def harmed(engine: Any, inputs: Any) -> Any:
        outputs = run(engine, inputs)
        return outputs if engine.provider == "pretended" else {n: broken(v) for n, v in outputs.items()}

    with monkeypatch.context() as patched:
        patched.setattr(OnnxRuntimeEngine, "run", harmed)
        assert opened(bundle)[0] == "CPUExecutionProvider"
    assert opened(bundle)[0] == "pretended"


def test_uhd_verify_holds_no_lack_of_memory_against_an_engine(bundle: Bundle, machine: type[Told], harm: Any) -> None:
    build(bundle)
    harm(out_of_memory)
    report = verify_bundle(bundle, engine="tensorrt-rtx", images=[PICTURE], modes=["16x"], question=None, threads=1)
    assert not report.passed
    assert kept.read_verdicts(bundle) == ()


def test_what_uhd_verify_finds_on_images_counts(bundle: Bundle, machine: type[Told], harm: Any) -> None:
    build(bundle)

    def verified() -> bool:
        return verify_bundle(
            bundle, engine="tensorrt-rtx", images=[PICTURE], modes=["16x"], question=None, threads=1
        ).passed

    assert verified()
    assert opened(bundle) == ("pretended", [])
    harm(shifted)
    assert not verified()
    assert opened(bundle)[0] == "CPUExecutionProvider"


def only(bundle: Bundle, kind: str, listed_as: str) -> Bundle:
    """The bundle with one kind of graph for 16x, listed under another name too."""
    manifest = bundle.manifest.model_dump()
    manifest["graphs"] = {"16x": dict.fromkeys((kind, listed_as), manifest["graphs"]["16x"][kind])}
    return Bundle(bundle.path, Manifest.model_validate(manifest))


def test_without_fp32_graphs_an_engine_is_compared_with_fp16_on_the_cpu(
    bundle: Bundle, machine: type[Told], harm: Any
) -> None:
    build(bundle)
    slim = only(bundle, "fp16", "int8")
    provider, (note,) = opened(slim)
    assert provider == "pretended"
    assert "was compared with its FP16 graphs on the CPU (it has none in FP32) before its first use" in note
    (bundle.path / "engines" / kept.FILE).unlink()
    harm(shifted)
    assert opened(slim)[0] == "CPUExecutionProvider"


def test_with_nothing_to_compare_with_an_engine_is_only_used_by_who_asks_for_it(
    bundle: Bundle, machine: type[Told]
) -> None:
    eight = with_int8(bundle)
    build(eight, precision="int8")
    alone = only(eight, "int8-tensorrt", "int8")
    provider, notes = opened(alone)
    assert provider == "CPUExecutionProvider"
    assert "the bundle has no FP32 or FP16 graphs; use it all the same with --engine tensorrt-rtx" in notes[0]
    assert opened(alone, engine="tensorrt-rtx")[0] == "pretended"


def test_verdicts_of_a_bundle_that_cannot_be_written_are_kept_for_the_user(
    bundle: Bundle, machine: type[Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Any
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    build(bundle)
    blocked = bundle.path / "engines" / kept.FILE
    blocked.mkdir()
    provider, (note,) = opened(bundle)
    assert (provider, "cannot be written" in note) == ("pretended", False)
    assert opened(bundle) == ("pretended", [])
    # What is found later counts, and once the bundle can be written it holds the only one.
    harm(shifted)
    verify_bundle(bundle, engine="tensorrt-rtx", images=[PICTURE], modes=["16x"], question=None, threads=1)
    assert opened(bundle)[0] == "CPUExecutionProvider"
    blocked.rmdir()
    harm(lambda values: values)
    verify_bundle(bundle, engine="tensorrt-rtx", images=[PICTURE], modes=["16x"], question=None, threads=1)
    assert opened(bundle) == ("pretended", [])
    assert [verdict.passed for verdict in kept.read_verdicts(bundle)] == [True]


def test_where_nothing_can_be_written_engines_are_compared_each_time_and_it_says_so(
    bundle: Bundle, machine: type[Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    build(bundle)
    (bundle.path / "engines" / kept.FILE).mkdir()
    for _ in range(2):
        provider, (note,) = opened(bundle)
        assert provider == "pretended"
        assert "can be written, so this is done again each time" in note


def test_damaged_verdicts_count_as_none(bundle: Bundle, machine: type[Told]) -> None:
    build(bundle)
    (bundle.path / "engines" / kept.FILE).write_text("{")
    assert "before its first use" in opened(bundle)[1][0]
    assert opened(bundle)[1] == []


def test_what_a_view_takes_is_kept_and_said(bundle: Bundle, machine: type[Told]) -> None:
    build(bundle)
    (note,) = opened(bundle)[1]
    (verdict,) = kept.read_verdicts(bundle)
    assert verdict.passed
    assert verdict.milliseconds is not None
    assert verdict.milliseconds > 0
    assert verdict.fused_attention is None  # the telling bundle has no attention
    assert f"{verdict.milliseconds:.3g} ms a view" in note
