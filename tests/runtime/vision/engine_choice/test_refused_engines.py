"""An engine that does not fit, fails or is not exact enough: the reason, and what runs in its place."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from support.vision.built_engines import PICTURE, Told, build, message

from uhd_edge.cli.commands.build import _verify as verify_built
from uhd_edge.cli.commands.build import build as build_command
from uhd_edge.engines.building.engine_record import find_engines
from uhd_edge.engines.errors import EngineError, EngineRefusedError
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.vision.encoder import VisionEncoder


def change_the_graph(bundle: Bundle, engine: Path) -> None:
    graph = bundle.path / bundle.manifest.graphs["16x"]["fp16"].encoder
    graph.write_bytes(graph.read_bytes().replace(b"telling", b"TELLING"))


def truncate(bundle: Bundle, engine: Path) -> None:
    engine.write_bytes(b"eng")


def lose(bundle: Bundle, engine: Path) -> None:
    engine.unlink()


def damage(bundle: Bundle, engine: Path) -> None:
    engine.write_bytes(b"ENGINE")


REFUSALS = {
    "a changed graph": ({}, change_the_graph, "was built from another graph: encoder-16x-fp16.onnx has changed"),
    "another TensorRT": ({"version": "1.6.0"}, None, "was built by TensorRT-RTX 1.6.0, this is TensorRT-RTX 1.7.1"),
    "another GPU": ({"capability": "12.0"}, None, "of compute capability 12.0, this one has 8.9"),
    "a truncated file": ({}, truncate, "has 3 bytes instead of 6"),
    "a damaged file": ({}, damage, "is damaged"),
    "a lost file": ({}, lose, "cannot be read (No such file"),
}


@pytest.mark.parametrize(("made", "harm", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_an_engine_that_does_not_fit_is_refused_with_its_reason_and_auto_answers_on_the_cpu(
    bundle: Bundle, machine: type[Told], made: dict[str, str], harm: Any, reason: str
) -> None:
    engine, _ = build(bundle, **made)
    if harm is not None:
        harm(bundle, engine)
    with VisionEncoder(bundle, engine="tensorrt-rtx", threads=1) as strict:
        told = message(EngineRefusedError, strict.encode, PICTURE)
    assert reason in told
    assert f"uhd build {bundle.path} --target rtx-40 --precision fp16" in told
    with VisionEncoder(bundle, threads=1) as encoder, VisionEncoder(bundle, engine="onnxruntime") as plain:
        seen = encoder.encode(PICTURE)
        np.testing.assert_array_equal(seen.embeddings, plain.encode(PICTURE).embeddings)
        assert reason in encoder.notes[0]
        assert encoder.notes[1:] == ["16x runs in fp32 on CPUExecutionProvider instead"]
        encoder.encode(PICTURE)
        assert len(encoder.notes) == 2
    assert machine.opened == []


def test_a_picture_that_an_engine_cannot_run_is_run_by_auto_on_the_cpu(
    bundle: Bundle, machine: type[Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with more slices than it was built for."""
    build(bundle)
    with VisionEncoder(bundle, engine="onnxruntime", threads=1) as plain:
        expected = plain.encode(PICTURE).embeddings

    def too_small(inputs: Any) -> Any:
        raise EngineError("encoder-fp16.engine: built for less; build it again with a larger --max-slices")

    for name in ("auto", "tensorrt-rtx"):
        chosen: Any = name
        with VisionEncoder(bundle, engine=chosen, threads=1) as encoder:
            monkeypatch.setattr(encoder.open_mode("16x").encoder, "run", too_small)
            if name == "tensorrt-rtx":
                assert "built for less" in message(EngineError, encoder.encode, PICTURE)
                continue
            for _ in range(2):
                np.testing.assert_array_equal(encoder.encode(PICTURE).embeddings, expected)
            assert len(encoder.notes) == 3
            assert "larger --max-slices" in encoder.notes[1]
            assert "16x runs in fp32 on CPUExecutionProvider where that happens" in encoder.notes[2]


def test_an_encoder_whose_connector_is_refused_is_closed_again(bundle: Bundle, machine: type[Told]) -> None:
    _, connector = build(bundle)
    connector.write_bytes(b"eng")
    with VisionEncoder(bundle, threads=1) as encoder:
        encoder.open_mode("16x")
        assert machine.opened == ["encoder-fp16.engine"]
        assert len(encoder._opener._engines) == 2


def test_a_record_that_cannot_be_read_is_told_and_does_not_keep_auto_from_answering(bundle: Bundle) -> None:
    engine, _ = build(bundle)
    engine.with_name("encoder-fp16.engine.json").write_text("{")
    with VisionEncoder(bundle, threads=1) as encoder:
        encoder.encode(PICTURE)
        assert "is not JSON" in encoder.notes[0]
    assert "is not JSON" in message(EngineRefusedError, VisionEncoder, bundle, engine="tensorrt-rtx")


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "off"])
def test_an_engine_built_here_that_is_not_exact_enough_is_kept_aside_and_not_used(
    qwen3_bundle: Bundle, machine: type[Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    copy = Bundle.open(shutil.copytree(qwen3_bundle.path, tmp_path / "copy"))
    build(copy, backend="tensorrt", target="here")
    PICTURE.save(tmp_path / "picture.png")
    run = OnnxRuntimeEngine.run

    def off(engine: Any, inputs: Any) -> Any:
        outputs = run(engine, inputs)
        if engine.provider == "pretended":
            outputs = {name: np.flip(value, axis=1) for name, value in outputs.items()}
        return outputs

    if not exact:
        monkeypatch.setattr(OnnxRuntimeEngine, "run", off)
    context, records, picture = click.Context(build_command), find_engines(copy.path), str(tmp_path / "picture.png")
    if exact:
        verify_built(context, copy, records, ["16x"], (picture,))
    else:
        told = message(EngineError, verify_built, context, copy, records, ["16x"], (picture,))
        assert f"kept in {copy.path / 'engines/here/failed'} and are not used" in told
    with VisionEncoder(copy, threads=1) as encoder:
        provider = encoder.open_mode("16x").encoder.provider
    assert provider == ("pretended" if exact else "CPUExecutionProvider")
    assert len(list((copy.path / "engines/here/failed").glob("*.engine"))) == (0 if exact else 2)
