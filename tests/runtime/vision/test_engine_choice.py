"""Which engine runs a bundle: what fits, what is refused and why, and what runs in its place.

No machine without a GPU can open a TensorRT engine, so a pretended one stands in where one
fits; everything before that, refusing above all, is real.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image
from support.telling_bundle import telling_bundle

from uhd_edge.cli.commands.build import _verify as verify_built
from uhd_edge.cli.commands.build import build as build_command
from uhd_edge.cli.main import exit_code
from uhd_edge.engines import selection
from uhd_edge.engines.building.engine_record import EngineRecord, digest_of, digests_of, find_engines, write_record
from uhd_edge.engines.building.profiles import ShapeRange
from uhd_edge.engines.errors import EngineError, EngineRefusedError, EngineUnavailableError
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.engines.tensorrt import engine as tensorrt_module
from uhd_edge.engines.tensorrt.gpu import Gpu
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Manifest
from uhd_edge.runtime.vision.encoder import VisionEncoder


def message(error: type[Exception], action: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        action(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return with_fp16(telling_bundle(tmp_path / "telling"))


def with_fp16(bundle: Bundle) -> Bundle:
    """The telling bundle with its graphs under a second name too, as the kind an engine is built from."""
    manifest = bundle.manifest.model_dump()
    for mode, graphs in manifest["graphs"].items():
        for part, graph in graphs["fp32"].items():
            half = graph.replace(".onnx", "-fp16.onnx")
            (bundle.path / half).write_bytes((bundle.path / graph).read_bytes())
            manifest["graphs"][mode].setdefault("fp16", {})[part] = half
    return Bundle(bundle.path, Manifest.model_validate(manifest))


def build(
    bundle: Bundle,
    *,
    capability: str = "8.9",
    version: str = "1.7.1",
    target: str = "rtx-40",
    backend: Any = "tensorrt-rtx",
) -> list[Path]:
    """Put records of engines for the 16x graphs in FP16 into the bundle, beside files that stand for engines."""
    folder = bundle.path / "engines" / target
    folder.mkdir(parents=True)
    files = []
    for part, graph in bundle.manifest.graphs["16x"]["fp16"].model_dump().items():
        engine = folder / f"{part}-fp16.engine"
        engine.write_bytes(b"engine")
        shapes = ShapeRange((1, 4), (1, 4), (1, 4))
        record = EngineRecord(
            backend=backend,
            backend_version=version,
            target=target,
            compute_capability=capability,
            gpu=None,
            precision="fp16",
            graph=graph,
            graph_files=digests_of(bundle.path / graph),
            profiles=({"features": shapes},),
            engine=digest_of(engine),
            path=engine,
        )
        write_record(record)
        files.append(engine)
    return files


class Told:
    """In place of an open TensorRT engine: computes with ONNX Runtime, and remembers being opened."""

    opened: list[str] = []  # noqa: RUF012

    def __new__(cls, file: Path, *, backend: str) -> Any:  # noqa: ARG004
        cls.opened.append(file.name)
        name = {"encoder": "encoder-16x", "connector": "connector"}[file.name.partition("-")[0]]
        engine = OnnxRuntimeEngine(file.parents[2] / f"graphs/{name}-fp16.onnx", threads=1)
        engine.provider = "pretended"
        return engine


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> type[Told]:
    """A machine with TensorRT-RTX 1.7.1 and a GPU of compute capability 8.9."""
    monkeypatch.setattr(selection, "import_tensorrt", lambda _: SimpleNamespace(__version__="1.7.1.116"))
    monkeypatch.setattr(selection, "first_gpu", lambda: Gpu("pretended", "8.9"))
    monkeypatch.setattr(tensorrt_module, "TensorRtEngine", Told)
    monkeypatch.setattr(Told, "opened", [])
    return Told


PICTURE = Image.new("RGB", (300, 200), "teal")


def test_auto_takes_an_engine_of_the_bundle_that_fits(bundle: Bundle, machine: type[Told]) -> None:
    build(bundle)
    build(bundle, capability="12.0", target="rtx-50")
    with VisionEncoder(bundle, threads=1) as encoder, VisionEncoder(bundle, engine="onnxruntime") as plain:
        seen = encoder.encode(PICTURE)
        np.testing.assert_allclose(seen.embeddings, plain.encode(PICTURE).embeddings, rtol=1e-6)
        assert encoder.towers("16x").encoder.provider == "pretended"
        assert encoder.towers("16x").precision == "fp16"
        assert encoder.notes == []
    assert sorted(machine.opened) == ["connector-fp16.engine", "encoder-fp16.engine"]


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
            monkeypatch.setattr(encoder.towers("16x").encoder, "run", too_small)
            if name == "tensorrt-rtx":
                assert "built for less" in message(EngineError, encoder.encode, PICTURE)
                continue
            for _ in range(2):
                np.testing.assert_array_equal(encoder.encode(PICTURE).embeddings, expected)
            assert len(encoder.notes) == 2
            assert "larger --max-slices" in encoder.notes[0]
            assert "16x runs in fp32 on CPUExecutionProvider where that happens" in encoder.notes[1]


def test_half_a_tower_is_not_used(bundle: Bundle, machine: type[Told]) -> None:
    _, connector = build(bundle)
    connector.with_name("connector-fp16.engine.json").unlink()
    with VisionEncoder(bundle, threads=1) as encoder:
        assert encoder.towers("16x").encoder.provider == "CPUExecutionProvider"
    told = message(EngineUnavailableError, VisionEncoder, bundle, engine="tensorrt-rtx")
    assert "no TensorRT-RTX engines for 16x; build them with `uhd build" in told


def test_an_encoder_whose_connector_is_refused_is_closed_again(bundle: Bundle, machine: type[Told]) -> None:
    _, connector = build(bundle)
    connector.write_bytes(b"eng")
    with VisionEncoder(bundle, threads=1) as encoder:
        encoder.towers("16x")
        assert machine.opened == ["encoder-fp16.engine"]
        assert len(encoder._opener._engines) == 2


def test_a_mode_without_engines_runs_on_the_cpu_beside_one_that_has_them(bundle: Bundle, machine: type[Told]) -> None:
    build(bundle)
    with VisionEncoder(bundle, threads=1) as encoder:
        assert encoder.towers("16x").encoder.provider == "pretended"
        assert encoder.towers("4x").encoder.provider == "CPUExecutionProvider"
        assert encoder.notes == []


def test_without_a_gpu_auto_says_so_and_runs_on_the_cpu(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Gpu:
        raise EngineUnavailableError("there is no NVIDIA driver here")

    build(bundle)
    monkeypatch.setattr(selection, "import_tensorrt", lambda _: SimpleNamespace(__version__="1.7.1"))
    monkeypatch.setattr(selection, "first_gpu", none)
    with VisionEncoder(bundle, threads=1) as encoder:
        encoder.encode(PICTURE)
        assert encoder.notes[0].startswith("TensorRT-RTX engines run on an NVIDIA GPU, and none can be used here")
    with VisionEncoder(bundle, engine="tensorrt-rtx", threads=1) as strict:
        assert "none can be used here" in message(EngineUnavailableError, strict.encode, PICTURE)


def test_without_tensorrt_auto_says_how_it_is_installed(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    build(bundle)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with VisionEncoder(bundle, threads=1) as encoder:
        encoder.encode(PICTURE)
        assert 'pip install "uhd-edge[rtx]"' in encoder.notes[0]


def test_int8_means_the_symmetric_graph_on_tensorrt_and_the_other_on_onnxruntime(
    bundle: Bundle, machine: type[Told]
) -> None:
    manifest = bundle.manifest.model_dump()
    graphs = manifest["graphs"]["16x"]
    manifest["graphs"] = {"16x": {"int8": graphs["fp32"], "int8-tensorrt": graphs["fp16"]}}
    both = Bundle(bundle.path, Manifest.model_validate(manifest))
    build(bundle)
    with VisionEncoder(both, precision="int8", threads=1) as encoder:
        towers = encoder.towers("16x")
        assert (towers.precision, towers.encoder.provider) == ("int8", "pretended")
    with VisionEncoder(both, precision="int8", engine="onnxruntime", threads=1) as encoder:
        towers = encoder.towers("16x")
        assert (towers.precision, towers.encoder.provider) == ("int8", "CPUExecutionProvider")


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
        assert f"kept in {copy.path / 'engines/here/failed'} and not used" in told
    with VisionEncoder(copy, threads=1) as encoder:
        provider = encoder.towers("16x").encoder.provider
    assert provider == ("pretended" if exact else "CPUExecutionProvider")
    assert len(list((copy.path / "engines/here/failed").glob("*.engine"))) == (0 if exact else 2)


def test_the_command_line_prints_the_notes_beside_the_answer(
    qwen3_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Bundle.open(shutil.copytree(qwen3_bundle.path, tmp_path / "copy"))
    build(copy)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    PICTURE.save(tmp_path / "picture.png")
    ask = ["ask", str(tmp_path / "picture.png"), "What?", "--bundle", str(copy.path), "--max-tokens", "2", "--json"]
    assert exit_code([*ask, "--threads", "1"]) == 0
    printed = capsys.readouterr()
    assert "answer" in json.loads(printed.out)
    assert "uhd: TensorRT-RTX is not installed" in printed.err
    assert "uhd: 16x runs in fp32 on CPUExecutionProvider instead" in printed.err
