"""Which engine runs a bundle: an engine of the bundle that fits, or ONNX Runtime, and what is said of it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.vision.built_engines import PICTURE, Told, build, message

from uhd_edge.engines import selection
from uhd_edge.engines.building.engine_record import EngineRecord
from uhd_edge.engines.building.profiles import ShapeRange
from uhd_edge.engines.errors import EngineUnavailableError
from uhd_edge.engines.tensorrt.gpu import Gpu
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Manifest
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.engine_choice import Choice, choose_precision, select_records


def test_auto_takes_an_engine_of_the_bundle_that_fits(bundle: Bundle, machine: type[Told]) -> None:
    build(bundle)
    build(bundle, capability="12.0", target="rtx-50")
    with VisionEncoder(bundle, threads=1) as encoder, VisionEncoder(bundle, engine="onnxruntime") as plain:
        seen = encoder.encode(PICTURE)
        np.testing.assert_allclose(seen.embeddings, plain.encode(PICTURE).embeddings, rtol=1e-6)
        assert encoder.open_mode("16x").encoder.provider == "pretended"
        assert encoder.open_mode("16x").precision == "fp16"
        assert len(encoder.notes) == 1
    assert sorted(machine.opened) == ["connector-fp16.engine", "encoder-fp16.engine"]


def test_half_a_tower_is_not_used(bundle: Bundle, machine: type[Told]) -> None:
    _, connector = build(bundle)
    connector.with_name("connector-fp16.engine.json").unlink()
    with VisionEncoder(bundle, threads=1) as encoder:
        assert encoder.open_mode("16x").encoder.provider == "CPUExecutionProvider"
    told = message(EngineUnavailableError, VisionEncoder, bundle, engine="tensorrt-rtx")
    assert "no TensorRT-RTX engines for 16x; build them with `uhd build" in told


def test_a_mode_without_engines_runs_on_the_cpu_beside_one_that_has_them(bundle: Bundle, machine: type[Told]) -> None:
    build(bundle)
    with VisionEncoder(bundle, threads=1) as encoder:
        assert encoder.open_mode("16x").encoder.provider == "pretended"
        assert encoder.open_mode("4x").encoder.provider == "CPUExecutionProvider"
        assert len(encoder.notes) == 1


def test_without_a_gpu_auto_says_so_and_runs_on_the_cpu(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Gpu:
        raise EngineUnavailableError("no NVIDIA driver found")

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
    full = graphs["fp32"]
    manifest["graphs"] = {"16x": {"fp32": full, "int8": full, "int8-tensorrt": graphs["fp16"]}}
    both = Bundle(bundle.path, Manifest.model_validate(manifest))
    build(bundle)
    with VisionEncoder(both, precision="int8", threads=1) as encoder:
        towers = encoder.open_mode("16x")
        assert (towers.precision, towers.encoder.provider) == ("int8", "pretended")
    with VisionEncoder(both, precision="int8", engine="onnxruntime", threads=1) as encoder:
        towers = encoder.open_mode("16x")
        assert (towers.precision, towers.encoder.provider) == ("int8", "CPUExecutionProvider")


def test_precision_auto_is_the_most_exact_one_there_is(bundle: Bundle) -> None:
    graphs = bundle.manifest.graphs["16x"]["fp32"]
    for there, chosen in ((("int8", "fp16", "fp32"), "fp32"), (("int8", "fp16"), "fp16"), (("int8",), "int8")):
        manifest = bundle.manifest.model_copy(update={"graphs": {"16x": dict.fromkeys(there, graphs)}})
        assert choose_precision(Bundle(bundle.path, manifest), "16x", "auto") == chosen


def built_for(name: str, *windows: int, target: str = "here") -> EngineRecord:
    """An engine of a shared encoder, with a profile for each number of windows that are not compressed."""
    spans = [ShapeRange((1, count), (1, count), (1, count)) for count in windows]
    return EngineRecord.model_construct(
        backend="tensorrt",
        target=target,
        graph="graphs/encoder-16x-fp16.onnx",
        profiles=tuple({"uncompressed": span} for span in spans),
        path=Path(name),
    )


def test_an_engine_for_one_mode_goes_before_the_older_one_for_both_modes(
    bundle: Bundle,
) -> None:
    graphs = {"fp16": bundle.manifest.graphs["16x"]["fp16"]}
    manifest = bundle.manifest.model_copy(update={"graphs": {"16x": graphs, "4x": graphs}})
    shared = Bundle(bundle.path, manifest)
    whole, sixteen, four = built_for("both", 0, 64), built_for("16x", 0), built_for("4x", 64)
    elsewhere = built_for("16x elsewhere", 0, target="rtx-40")

    def chosen(mode: Mode, *records: EngineRecord) -> list[str]:
        encoders, _ = select_records(shared, mode, Choice("tensorrt", "fp16", "fp16"), records)
        return [str(record.path) for record in encoders]

    assert (chosen("16x", sixteen, four), chosen("4x", sixteen, four)) == (["16x"], ["4x"])
    assert chosen("4x", sixteen) == []
    assert (chosen("16x", sixteen, whole), chosen("4x", sixteen, whole)) == (["16x"], ["both"])
    assert chosen("16x", whole, elsewhere) == ["both", "16x elsewhere"]
